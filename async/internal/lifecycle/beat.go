package lifecycle

import (
	"bytes"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// BeatResult is the result of a heartbeat.
type BeatResult int

const (
	// BeatSent: Temporal has the heartbeat.
	BeatSent BeatResult = iota
	// BeatSkipped: the pump wants no beat now.
	BeatSkipped
	// BeatFailed: the beat was not sent, and is retried.
	BeatFailed
	// BeatLost: Temporal no longer accepts the attempt's token, though the activity
	// is pending.
	BeatLost
	// BeatOver: the activity is over.
	BeatOver
)

// Beat is a heartbeat and its result.
type Beat struct {
	Result  BeatResult
	At      int64      // when the beat was sent
	End     record.End // of BeatOver
	Read    bool       // Temporal's details were read before the beat was sent
	Details []byte     // the details that Temporal has after BeatSent
	Digest  []byte     // of Details
	Heard   bool       // Signals are known
	Signals Signals
}

// NeedsDetails reports whether Temporal's details must be read before the next
// beat. The function of this attempt, or an earlier attempt, may have recorded
// details that a beat would overwrite.
func NeedsDetails(r *record.Record) bool { return r.DetailsReadStarted != r.Started }

// NotTaken returns the result if Temporal does not know the attempt's token, or
// runs another attempt.
func (b Beat) NotTaken(r *record.Record, w Word) Beat {
	switch {
	case w.Buffered && !w.Pending:
		b.Result = BeatFailed
	case !w.Pending:
		b.Result, b.End = BeatOver, w.EndOfOther()
	default:
		s := w.Signals(r)
		// If the record's attempt still runs, a reset has renumbered it.
		s.Reset = s.Reset || w.Runs(r)
		b.Result, b.Heard, b.Signals = BeatLost, true, s
	}
	return b
}

// BeatConcerns reports whether the result of a beat still applies to an entry:
// the attempt is the same and still waits.
func BeatConcerns(r, about *record.Record) bool {
	return r.State == record.Waiting && r.Started == about.Started && r.HandedOffStarted == about.Started && SameActivity(about, r)
}

// StillBeats reports whether a heartbeat is still needed after the pump was
// asked. about is the record as it was before that.
func StillBeats(r, about *record.Record) bool {
	return r.State == record.Waiting && r.Started == about.Started && r.TokenLostStarted != r.Started
}

// NextBeat says how the time of the next beat is decided.
type NextBeat int

const (
	// NoBeat: no beat is due.
	NoBeat NextBeat = iota
	// AskPump: the pump decides.
	AskPump
	// AskPumpLater: the pump decides, but not before FirstBeatRetry.
	AskPumpLater
	// RetryBeat: see [BeatAgain] and [BeatNow].
	RetryBeat
)

// Beaten records the result of a beat. before holds the record's details as
// they were when the beat was sent.
func (p Policy) Beaten(r *record.Record, before []byte, b Beat) NextBeat {
	if b.Read && b.Result != BeatFailed { // after a failure the details are read again
		r.DetailsReadStarted = r.Started
	}
	if b.Heard {
		p.Signalled(r, b.Signals)
	}
	switch b.Result {
	case BeatOver:
		p.Close(r, b.End)
		return NoBeat
	case BeatLost:
		LoseToken(r)
		r.NextBeat = 0
		return NoBeat
	case BeatFailed:
		return RetryBeat
	case BeatSkipped:
		r.BeatTries = 0
		return AskPumpLater
	}
	r.LastBeat, r.BeatTries, r.ServerDetailsDigest = b.At, 0, b.Digest
	switch {
	case bytes.Equal(r.Details, before):
		r.Details, r.BeatPendingSince, r.DetailsPendingSince = b.Details, 0, 0
	case r.DetailsPendingSince == 0:
		// Newer details arrived in the meantime, and another process has sent
		// them. If it sent them before this beat, this beat has overwritten
		// them at Temporal.
		r.BeatPendingSince, r.DetailsPendingSince = p.Now.UnixNano(), p.Now.UnixNano()
	} // otherwise newer details arrived, and the next beat sends them
	return AskPump
}

// BeatAgain schedules, with backoff, another try for a beat that was not sent.
// The try is early enough for one more try after it.
func BeatAgain(r *record.Record, now time.Time, jitter func(time.Duration) time.Duration) {
	r.BeatTries++
	r.NextBeat = now.Add(jitter(BeatRetry(r))).UnixNano()
}

// BeatNow makes a beat due at once for another hub, because this hub cannot
// send it.
func BeatNow(r *record.Record, now time.Time) { r.NextBeat = now.UnixNano() }

// DelayBeat makes the next beat due no earlier than FirstBeatRetry from now.
func DelayBeat(r *record.Record, now time.Time) {
	if r.NextBeat != 0 {
		r.NextBeat = max(r.NextBeat, now.Add(FirstBeatRetry).UnixNano())
	}
}

// BeginBeats begins the beats of a pump at the end of the hand-off. heard is
// when Temporal last heard of the attempt.
func BeginBeats(r *record.Record, heard time.Time) {
	r.LastBeat, r.BeatTries = heard.UnixNano(), 0
}

// LeaveBeat returns how long a hub leaves a beat to the hubs that know its
// pump.
//
//   - At first the time is short, so that those hubs have time left. It is
//     never shorter than least, which is more than two polls of this hub.
//     Otherwise this hub would claim the entry at each poll.
//   - While no hub sends the beat, the time grows with the lateness of the
//     beat. A pump that no hub knows must not keep the store busy.
//
// To leave a beat does not count as a try, because the pump was not asked.
func LeaveBeat(r *record.Record, least time.Duration, now time.Time) time.Duration {
	first, last := least, max(least, LastBeatRetry)
	if timeout := time.Duration(r.HeartbeatTimeout); timeout > 0 && now.Before(Lapses(r)) {
		first, last = max(least, timeout/300), max(least, min(timeout/60, LastBeatRetry))
	}
	return min(max(first, now.Sub(FromNano(r.NextBeat))), last)
}

// LearnMeanwhile records what a beat of the worker has learned while the
// function runs: the signals for which this hub has a hook, and the digest of
// Temporal's details. LearnMeanwhile reports whether the record changed.
// Signals without a hook are left to hubs that have one.
func (p Policy) LearnMeanwhile(r *record.Record, started int64, s Signals, digest []byte) bool {
	if r.State != record.Waiting || r.Started != started {
		return false
	}
	s.CancelRequested = r.CancelRequested || s.CancelRequested && p.Listens.Has(record.NoticeCancelRequested)
	s.Reset = r.ResetRequested || s.Reset && p.Listens.Has(record.NoticeReset)
	if !p.Listens.Has(record.NoticePaused) {
		s.Paused = r.Paused
	}
	if s == (Signals{r.CancelRequested, r.Paused, r.ResetRequested}) && bytes.Equal(digest, r.ServerDetailsDigest) {
		return false
	}
	p.Signalled(r, s)
	r.ServerDetailsDigest = digest
	return true
}
