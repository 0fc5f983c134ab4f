package lifecycle

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// successor is a universe after one more event.
type successor struct {
	u     *universe
	wrong string
}

// next returns all events that can happen next.
func (u *universe) next(b breaks) (all []successor) {
	add := func(event string, f func(c *universe) string) {
		c := u.clone()
		wrong := f(c)
		c.trace = u.trace + "\n" + event
		all = append(all, successor{c, wrong})
	}
	if !u.closed {
		if u.started == 0 && u.begun < maxAttempts {
			add("Temporal begins an attempt", func(c *universe) string { c.begun++; c.started = c.begun; return "" })
		}
		if u.started > 0 {
			add("the attempt times out", func(c *universe) string { c.started, c.lastMark = 0, ""; c.num++; return "" })
		}
		add("the activity times out", func(c *universe) string { c.closed, c.started = true, 0; return "" })
		if u.resets == 0 {
			add("a reset", func(c *universe) string { c.resets++; c.num = 1; return "" })
		}
	} else if u.buffered {
		add("the end is written to history", func(c *universe) string { c.buffered = false; return "" })
	}
	if len(u.ops) < maxOps {
		if u.started > 0 {
			add("Start", func(c *universe) string {
				c.ops = append(c.ops, op{kind: 's', stage: "load", attempt: c.started, num: c.num})
				return ""
			})
		}
		for _, secret := range u.asked {
			if u.offers >= 2 {
				break
			}
			for _, kind := range []record.Kind{record.Result, record.Failure} {
				add("answer "+kind.String(), func(c *universe) string {
					c.offers++
					c.ops = append(c.ops, op{kind: 'a', stage: "load", secret: secret, out: kind})
					return ""
				})
			}
		}
		for _, secret := range u.asked {
			if u.votes < len(voters) && u.offers < 2 {
				add("vote", func(c *universe) string {
					c.ops = append(c.ops, op{kind: 'v', stage: "load", secret: secret, voter: voters[c.votes], out: record.Result})
					c.votes++
					return ""
				})
			}
		}
		if u.rec != nil && u.rec.State != record.Closed {
			add("a hub claims", func(c *universe) string {
				c.version++
				c.ops = append(c.ops, op{kind: 'w', stage: "claimed", snap: proto.CloneOf(c.rec), version: c.version})
				return ""
			})
		}
	}
	for i, o := range u.ops {
		name := fmt.Sprintf("  %c %s", o.kind, o.stage)
		add(name+": crash", func(c *universe) string { c.drop(i); return "" })
		if o.stage == "send" {
			add(name+": lost on its way", func(c *universe) string { c.failed(i); return "" })
			if u.lost == 0 {
				add(name+": the reply is lost", func(c *universe) string {
					c.lost++
					_, wrong := c.take(c.ops[i].snap, false)
					c.failed(i)
					return wrong
				})
			}
		}
		add(name, func(c *universe) string { return c.step(i, b) })
	}
	return all
}

func (u *universe) drop(i int) { u.ops = slices.Delete(u.ops, i, i+1) }

func (u *universe) failed(i int) {
	u.ops[i].stage, u.ops[i].verdict = "conclude", Verdict{Class: "unavailable"}
}

// step advances an operation by one step.
func (u *universe) step(i int, b breaks) (wrong string) {
	o := &u.ops[i]
	p := u.policy()
	switch o.stage {
	case "load":
		o.version = u.version
		if u.rec != nil {
			o.snap = proto.CloneOf(u.rec)
		}
		if o.kind == 's' {
			return u.arrive(i, b)
		}
		if o.kind == 'v' {
			u.vote(i, p, b)
			return ""
		}
		if o.snap == nil || string(o.snap.Secret) != o.secret || Offered(o.snap, o.out, []byte(o.out.String())) != Accept {
			u.drop(i)
			return ""
		}
		p.Settle(o.snap, &record.Outcome{Kind: o.out, Mark: o.out.String()[5:6] + o.secret, Fingerprint: []byte(o.out.String())})
		o.stage, o.first = "save", true
	case "describe":
		w := u.word(o.snap.Outcome.GetMark())
		if b.arriving != nil {
			b.arriving(&w)
		}
		o.said.Arriving = &w
		return u.arrive(i, b)
	case "save":
		if o.kind == 'v' && b.anyVote {
			o.version = u.version
		}
		ok, wrong := u.save(o)
		switch {
		case !ok, o.kind == 'v' && o.snap.State == record.Waiting:
			u.drop(i)
		case o.snap.State == record.Settled:
			o.stage = "send"
			if o.snap.Outcome.Kind == record.Failure && !o.first {
				o.stage = "look"
			}
		default:
			o.stage = "function"
		}
		return wrong
	case "function":
		u.ran = append(u.ran, o.attempt)
		if s := string(o.snap.Secret); !slices.Contains(u.asked, s) {
			u.asked = append(u.asked, s)
		}
		o.stage = "hand off"
	case "hand off":
		started := o.snap.Started
		if !b.anyVersion {
			o.snap, o.version = proto.CloneOf(u.rec), u.version
		} else {
			o.version = u.version
		}
		if b.anyVersion || o.snap.State == record.Waiting && o.snap.Started == started {
			o.snap.HandedOffStarted = started
			_, wrong = u.save(o)
		}
		u.drop(i)
	case "claimed":
		switch {
		case o.snap.State == record.Waiting:
			w := u.seen(b, "")
			p.Answered(o.snap, &w)
			_, wrong = u.save(o)
			u.drop(i)
		case o.snap.Outcome.Kind == record.Failure:
			o.stage = "look"
		default:
			o.stage = "send"
		}
	case "look":
		v, send := BeforeFailing(o.snap, u.seen(b, o.snap.Outcome.Mark))
		if o.stage = "send"; !send {
			o.stage, o.verdict = "conclude", v
		}
	case "send":
		ok, wrong := u.take(o.snap, false)
		if o.stage, o.verdict = "conclude", Delivered; !ok {
			o.stage = "not found"
		}
		return wrong
	case "not found":
		after := AfterNotFound
		if b.afterNotFound != nil {
			after = b.afterNotFound
		}
		v, byID := after(o.snap, u.seen(b, o.snap.Outcome.Mark))
		o.stage, o.verdict = "conclude", v
		if byID { // the gap between the check and the call is documented
			ok, wrong := u.take(o.snap, true)
			if o.verdict = Delivered; !ok {
				o.verdict = Verdict{Class: "no attempt"}
			}
			return wrong
		}
	case "conclude":
		about, mark := o.snap, o.snap.Outcome.Mark
		if u.rec != nil && Concerns(u.rec, about, mark) {
			o.snap, o.version = proto.CloneOf(u.rec), u.version
			p.Conclude(o.snap, o.verdict)
			_, wrong = u.save(o)
		}
		u.drop(i)
	}
	return wrong
}

func (u *universe) seen(b breaks, mark string) Word {
	w := u.word(mark)
	if b.word != nil {
		w = b.word(w)
	}
	return w
}

// arrive makes Start's decision.
func (u *universe) arrive(i int, b breaks) string {
	o := &u.ops[i]
	now := attempt(o.num, func(r *record.Record) { r.Started, r.Secret = startedOf(o.attempt), []byte("s1") })
	if o.snap == nil {
		o.snap, o.stage = now, "save"
		return ""
	}
	if o.stage == "describe" { // uses the record as it was read before the question
		o.stage = ""
	}
	a, err := u.policy().Arrive("id", o.snap, now, o.said)
	switch {
	case err != nil:
		if Outrun(o.snap) {
			_, _ = u.save(o)
		}
		u.drop(i)
	case a.Next == DescribeArriving:
		o.stage = "describe"
	case a.Changed:
		o.stage, o.first = "save", a.First
	case a.Next == Run:
		o.stage = "function"
	default:
		attempt := o.attempt
		u.drop(i)
		r := u.rec
		if r.State == record.Waiting && r.Started == startedOf(attempt) && r.HandedOffStarted != r.Started && !slices.Contains(u.ran, attempt) {
			return "G8: Start returned, and no function has run"
		}
	}
	return ""
}
