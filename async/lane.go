package async

import (
	"sync"
	"time"
)

const (
	// laneQueue is the number of calls that may wait for each slot of a lane.
	laneQueue = 16

	// laneSlow is the longest time for which a call occupies a slot.
	laneSlow = time.Second
)

// lane limits the concurrent calls of one part of the application.
type lane struct{ slots, queue chan struct{} }

func newLane(n int) *lane {
	return &lane{slots: make(chan struct{}, n), queue: make(chan struct{}, laneQueue*n)}
}

// do calls f when a slot is free. do returns false if no slot becomes free
// within patience, or before stop is closed. With zero patience, do waits
// without a limit. A slow call gives up its slot after laneSlow and continues,
// so that other calls can begin.
func (l *lane) do(stop <-chan struct{}, patience time.Duration, f func()) bool {
	var enough <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		enough = timer.C
		select {
		case l.queue <- struct{}{}:
		default:
			return false
		}
	} else {
		select {
		case l.queue <- struct{}{}:
		case <-stop:
			return false
		}
	}
	defer func() { <-l.queue }()
	select {
	case <-stop:
		return false
	default:
	}
	select {
	case l.slots <- struct{}{}:
	case <-enough:
		return false
	case <-stop:
		return false
	}
	release := sync.OnceFunc(func() { <-l.slots })
	timer := time.AfterFunc(laneSlow, release)
	defer timer.Stop()
	defer release()
	f()
	return true
}
