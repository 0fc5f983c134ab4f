package lifecycle

import (
	"bytes"
	"slices"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// MaxNotices is the maximum number of notices of an entry. If a hook fails for
// more than this number of ended rounds, it is not called for the oldest ones.
const MaxNotices = 16

// notice makes a running hub call a hook about the current round.
func (p Policy) notice(r *record.Record, kind record.NoticeKind, why record.End) {
	if !p.Listens.Has(kind) {
		return
	}
	n := &record.Notice{Kind: kind, Reason: why, Secret: r.Secret, Reference: r.Reference, Outcome: r.Outcome.GetKind()}
	if slices.ContainsFunc(r.Notices, func(other *record.Notice) bool { return SameNotice(other, n) }) {
		return
	}
	r.Notices = append(r.Notices, n)
	r.NextNotice, r.NoticeTries = p.Now.UnixNano(), 0
}

// TrimNotices drops the oldest notices beyond the maximum, and reports whether
// it dropped any.
func TrimNotices(r *record.Record) bool {
	n := len(r.Notices) - MaxNotices
	if n > 0 {
		r.Notices = r.Notices[n:]
	}
	return n > 0
}

// HoldNotices reserves the due notices for the hub that has claimed the entry.
// HoldNotices reports whether there are any due notices.
func (p Policy) HoldNotices(r *record.Record) bool {
	if len(r.Notices) == 0 || !IsDue(FromNano(r.NextNotice), p.Now) {
		return false
	}
	r.NextNotice = p.Now.Add(p.ClaimTime).UnixNano()
	return true
}

// Notified records that the hooks of the given notices have returned nil. A notice
// that delayed the notices behind it moves to the end. failed is whether a hook
// must be called again.
func (p Policy) Notified(r *record.Record, done []*record.Notice, late *record.Notice, failed bool) {
	r.Notices = slices.DeleteFunc(slices.Clone(r.Notices), func(n *record.Notice) bool {
		return slices.ContainsFunc(done, func(d *record.Notice) bool { return SameNotice(d, n) })
	})
	if i := slices.IndexFunc(r.Notices, func(n *record.Notice) bool { return late != nil && SameNotice(n, late) }); i >= 0 {
		last := r.Notices[i]
		r.Notices = append(slices.Delete(r.Notices, i, i+1), last)
	}
	r.NextNotice = p.Now.UnixNano()
	if failed {
		r.NoticeTries++
		r.NextNotice = p.Now.Add(p.Jitter(Doubled(FirstNotice, LastNotice, int(r.NoticeTries)))).UnixNano()
	}
}

// SameNotice reports whether two notices are about the same event. SameNotice
// ignores Reference, because it may be set in only one of them.
func SameNotice(a, b *record.Notice) bool {
	return a.Kind == b.Kind && a.Reason == b.Reason && a.Outcome == b.Outcome && bytes.Equal(a.Secret, b.Secret)
}

// IsSignal reports whether a notice is about a signal, to which a continuing
// activity may react.
func IsSignal(kind record.NoticeKind) bool {
	return kind >= record.NoticeCancelRequested && kind <= record.NoticeReset
}

// StandsFor reports whether the round of a notice has not ended.
func StandsFor(r *record.Record, n *record.Notice) bool {
	return r.State != record.Closed && bytes.Equal(r.Secret, n.Secret)
}

// withdrawOver drops the notice which says that the round ended without a
// delivery.
func withdrawOver(r *record.Record) {
	r.Notices = slices.DeleteFunc(r.Notices, func(n *record.Notice) bool {
		return n.Kind == record.NoticeOver && bytes.Equal(n.Secret, r.Secret)
	})
}
