package async

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// simAsk is a callback ID that the external system got, and what the system did
// with it.
type simAsk struct {
	id, entry string
	no        int
	act       *simAct
	typ       string
	offered   map[string]bool // the answers that were given, by content
	acked     map[string]bool // what was accepted
	abandoned bool
}

// simKeyAnswer is an accepted answer by business key.
type simKeyAnswer struct {
	entry, says string
	kind        int
	typ, v      string
	idempotency string // the idempotency key, or ""
	at          time.Time
}

// opAnswer makes the external system answer: mostly the last request, and
// mostly with the same answer.
func (w *simWorld) opAnswer() {
	n := len(w.asks)
	if n == 0 {
		return
	}
	i := n - 1
	if w.rng.chance(350) {
		i = w.rng.n(n)
	}
	w.answer(w.proc(), w.asks[i])
}

func (w *simWorld) answer(p *simProc, ask *simAsk) {
	f := w.push("answer", p)
	defer w.pop()
	v := []string{simSecret + "1", simSecret + "2"}[w.rng.pick([]int{7, 3})]
	kind := w.rng.pick([]int{45, 30, 8, 17})
	typ := ask.typ
	if w.rng.chance(50) {
		typ = map[string]string{"A": "B", "B": "A"}[typ]
	}
	says := simSays(kind, typ, v)
	w.logf("%s: %s is answered with %s", p.name, shortID(ask.id), says)
	before := w.records[ask.entry]
	var pending bool
	if before != nil {
		a := w.actOfRecord(before)
		pending = a != nil && a.pending() && record.NewCallbackID(ask.entry, before.Secret).Reveal() == ask.id && State(before.State) == Waiting
	}
	ask.offered[says] = true
	open := p.refused || p.hub.health.open(simNamespace, anAnswer)
	reason := w.reasoned(f)
	err := w.offer(reason, p, "", kind, typ, v, func(ctx context.Context) (Pending[simA], error) { return Open[simA](ctx, p.hub, ask.id) },
		func(ctx context.Context) (Pending[simB], error) { return Open[simB](ctx, p.hub, ask.id) },
		func(ctx context.Context) (Callback, error) { return p.hub.Open(ctx, ask.id) })
	if p.dead {
		w.logf("nobody hears what was answered")
		return
	}
	w.logf("%s: answer %s: %v", p.name, says, err)
	w.shownError("an answer", err)
	w.checkAnswer(f, ask, says, err)
	if err == nil && kind == 0 && pending && !f.rough && p.hub.completer != nil && !w.away && !w.refusing && !open {
		if m := w.rounds[ask.id]; m == nil || len(m.accepted) == 0 {
			w.violate("G4", "a result was accepted while %v was pending, and not delivered at once", ask.act)
		}
	}
}

// offer gives one of the four kinds of answers.
func (w *simWorld) offer(ctx context.Context, p *simProc, idempotency string, kind int, typ, v string, a func(context.Context) (Pending[simA], error),
	b func(context.Context) (Pending[simB], error), c func(context.Context) (Callback, error),
) error {
	if idempotency != "" {
		ctx = WithIdempotencyKey(ctx, idempotency)
	}
	if kind == 0 && typ == "A" {
		pending, err := a(ctx)
		if err != nil {
			return err
		}
		return pending.Complete(ctx, simA{v})
	}
	if kind == 0 {
		pending, err := b(ctx)
		if err != nil {
			return err
		}
		return pending.Complete(ctx, simB{v})
	}
	callback, err := c(ctx)
	if err != nil {
		return err
	}
	switch kind {
	case 1:
		return callback.Fail(ctx, errors.New(v))
	case 2:
		return callback.Reject(ctx, errors.New(v))
	default:
		return callback.ReportCanceled(ctx, v)
	}
}

// simSays names an outcome by its content.
func simSays(kind int, typ, v string) string {
	switch kind {
	case 0:
		return "result " + typ + " " + v
	case 1:
		return "failure " + v
	case 2:
		return "rejection " + v
	default:
		return "cancellation " + v
	}
}

const simEarly = 20 * time.Minute

// opAnswerKey answers the activity with the business key, mostly with a new
// value.
func (w *simWorld) opAnswerKey() {
	p := w.proc()
	f := w.push("answer by key", p)
	defer w.pop()
	v := fmt.Sprintf(simSecret+"k%d", len(w.keys))
	if w.rng.chance(200) {
		v = simSecret + "1"
	}
	kind := w.rng.pick([]int{60, 25, 10, 5})
	typ := []string{"A", "B"}[w.rng.pick([]int{9, 1})]
	idempotency := ""
	var repeated *simKeyAnswer
	switch {
	case w.rng.chance(150):
		idempotency = "once-" + simSays(kind, typ, v)
	case w.rng.chance(150) && len(w.keys) > 0:
		if k := w.keys[w.rng.n(len(w.keys))]; k.idempotency != "" && time.Since(k.at) < simRetention/2 {
			repeated, kind, typ, v, idempotency = k, k.kind, k.typ, k.v, k.idempotency
		}
	}
	o := KeyOptions{Namespace: simNamespace}
	if w.rng.chance(600) {
		o.Early = simEarly
	}
	says := simSays(kind, typ, v)
	entry := record.KeyedEntryID(simNamespace, "order-7")
	before := w.records[entry]
	w.logf("%s: the key is answered with %s, early %v", p.name, says, o.Early)
	err := w.offer(context.Background(), p, idempotency, kind, typ, v,
		func(ctx context.Context) (Pending[simA], error) { return OpenKey[simA](ctx, p.hub, "order-7", o) },
		func(ctx context.Context) (Pending[simB], error) { return OpenKey[simB](ctx, p.hub, "order-7", o) },
		func(ctx context.Context) (Callback, error) {
			if before != nil && before.ResultType == "B" {
				c, err := OpenKey[simB](ctx, p.hub, "order-7", o)
				return c.Callback, err
			}
			c, err := OpenKey[simA](ctx, p.hub, "order-7", o)
			return c.Callback, err
		})
	if p.dead {
		return
	}
	w.logf("%s: answer by key %s: %v", p.name, says, err)
	w.shownError("an answer by key", err)
	if err == nil {
		w.keys = append(w.keys, &simKeyAnswer{entry: entry, says: says, kind: kind, typ: typ, v: v, idempotency: idempotency, at: time.Now()})
	}
	if repeated != nil {
		w.hit("key: a repeat is known by its idempotency key")
		if len(f.settled) > 0 && !w.dropped(entry, says) {
			w.violate("G2", "%q was accepted under an idempotency key, and the same again settled anew", says)
		}
	}
	failure := kind == 1 || kind == 2
	if !f.rough && before == nil && (o.Early == 0 || failure) && !errors.Is(err, ErrNotFound) {
		w.violate("keys", "an answer by a key that no activity has got %v", err)
	}
	if !f.rough && before == nil && o.Early > 0 && err == nil {
		w.hit("none: early result by key")
	}
	if !f.rough && before == nil && o.Early > 0 && failure {
		w.hit("none: early failure by key: ErrNotFound")
	}
}

// dropped reports whether an outcome with this content ended without delivery.
// The memory of its round ended with the outcome.
func (w *simWorld) dropped(entry, says string) bool {
	for _, m := range w.marks {
		if m.entry == entry && m.says == says && w.round(m.callback).over {
			return true
		}
	}
	return false
}

func (w *simWorld) opRemember() {
	if len(w.asks) == 0 {
		return
	}
	ask := w.asks[len(w.asks)-1]
	p := w.proc()
	w.push("remember", p)
	defer w.pop()
	c, err := p.hub.Open(context.Background(), ask.id)
	if err == nil {
		err = c.Remember(context.Background(), "job-2")
	}
	w.logf("%s: Remember: %v", p.name, err)
	w.shownError("Remember", err)
}

func (w *simWorld) opAbandon() {
	if len(w.asks) == 0 || !w.rng.chance(300) {
		return
	}
	ask := w.asks[w.rng.n(len(w.asks))]
	p := w.proc()
	f := w.push("abandon", p)
	defer w.pop()
	c, err := p.hub.Open(context.Background(), ask.id)
	if err == nil {
		ask.abandoned = true // set also if the call fails, because the entry may be abandoned
		err = c.Abandon(w.reasoned(f))
	}
	w.logf("%s: Abandon: %v", p.name, err)
	w.shownError("Abandon", err)
}

// checkAnswer checks the reply to an answer under a callback ID.
func (w *simWorld) checkAnswer(f *simFrame, ask *simAsk, says string, err error) {
	switch {
	case err == nil:
		for other := range ask.acked {
			if other != says {
				w.violate("G2", "both %q and %q were accepted for one round", other, says)
			}
		}
		ask.acked[says] = true
	case errors.Is(err, ErrSettled):
		if ask.acked[says] {
			w.violate("G2", "%q was accepted, and the same again got ErrSettled", says)
		}
		if len(ask.offered) == 1 && ask.act.options.Key == "" {
			w.violate("G2", "%q got ErrSettled, and nothing else was ever offered", says)
		}
	case errors.Is(err, ErrSuperseded):
		if r := w.rounds[ask.id]; ask.acked[says] && !ask.abandoned && (r == nil || !r.over) {
			w.violate("G2", "%q was accepted, and the same again got ErrSuperseded", says)
		}
	case errors.Is(err, ErrClosed):
		if !f.rough {
			w.hit("Closed, over: answer gets ErrClosed")
		}
	case errors.Is(err, ErrNotFound):
		if r := w.records[ask.entry]; r != nil && !f.rough && record.NewCallbackID(ask.entry, r.Secret).Reveal() == ask.id {
			w.violate("G4", "the callback ID of the current round is not found")
		}
	case errors.Is(err, ErrTypeMismatch):
		if ask.acked[says] {
			w.violate("G2", "%q was accepted, and the same again got ErrTypeMismatch", says)
		}
	case errors.Is(err, completer.ErrCancelNotRequested):
		if !f.rough {
			w.hit("Waiting: ReportCanceled not requested")
		}
	}
}
