//go:build !unix

package million

import "time"

// On this system, cpu returns no processor time.
func cpu() time.Duration { return 0 }
