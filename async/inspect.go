package async

import (
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// inspect adds the fields for operators to an Info.
func (c Callback) inspect(i *Info, now time.Time) {
	r := c.entry.rec
	i.Early = r.Early
	i.HandedOff = r.State == record.Waiting && r.HandedOffStarted == r.Started
	i.Scheduled = fromNano(r.Scheduled)
	i.HeartbeatTimeout = time.Duration(r.HeartbeatTimeout)
	if r.State == record.Waiting {
		i.HeartbeatTries = int(r.BeatTries)
	}
	if len(r.Notices) > 0 {
		i.HookTries, i.NextHook = int(r.NoticeTries), fromNano(r.NextNotice)
		for _, n := range r.Notices {
			i.Hooks = append(i.Hooks, hookName(n.Kind))
		}
	}
	retention := time.Duration(0)
	if c.hub != nil {
		retention = c.hub.entries.retention
	}
	i.Asked = fromNano(r.RoundBegan)
	i.Since = lifecycle.StateSince(r)
	i.Late = lifecycle.LateSince(r, retention, now)
	i.Due = c.entry.due
	i.Class = lifecycle.Class(r, retention, now)
}

// hookName returns the name of the hook's field in [Hooks].
func hookName(kind record.NoticeKind) string {
	switch kind {
	case record.NoticeDelivered:
		return "Delivered"
	case record.NoticeOver:
		return "Over"
	case record.NoticeRefused:
		return "Refused"
	case record.NoticeCancelRequested:
		return "CancelRequested"
	case record.NoticePaused:
		return "Paused"
	case record.NoticeReset:
		return "Reset"
	default:
		return strings.ToLower(kind.String()) // a hook of a newer release
	}
}
