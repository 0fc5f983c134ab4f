package async

import (
	"fmt"
	"time"
)

const (
	defaultWatch = time.Hour
	minWatch     = time.Second
	maxWatch     = 365 * 24 * time.Hour
)

// checkWatch checks Options.WatchInterval, and applies its default. After
// checkWatch, zero means that the watch is off.
func checkWatch(interval time.Duration) (time.Duration, error) {
	switch {
	case interval == 0:
		return defaultWatch, nil
	case interval < 0:
		return 0, nil
	case interval < minWatch || interval > maxWatch:
		return 0, fmt.Errorf("async: Options.WatchInterval must be between %v and %v, or negative to turn the watch off, got %v", minWatch, maxWatch, interval)
	}
	return interval, nil
}
