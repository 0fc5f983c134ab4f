//go:build !unix

package million

import "time"

// CPU returns zero: the processor time is not known here.
func CPU() time.Duration { return 0 }
