package board

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
)

const (
	// noteKind is the kind of the notes that the board writes.
	noteKind = "operator"
	maxWhy   = 1000 // characters
	maxBulk  = 100
	actTime  = 10 * time.Second // for one entry
	bulkTime = 30 * time.Second
)

// order is an action that a caller requests for one entry.
type order struct {
	verb    string
	why     string
	round   string          // the round that the caller has seen, or ""
	result  json.RawMessage // of complete
	message string          // the message of fail and reject
	kind    string          // the failure type of fail and reject
}

// check refuses an order without a reason.
func (o order) check() error {
	if why := strings.TrimSpace(o.why); why == "" || !utf8.ValidString(why) || utf8.RuneCountInString(why) > maxWhy {
		return errWhy
	}
	return nil
}

// line is the result of an order for one entry.
type line struct {
	ID     string `json:"id"`
	OK     bool   `json:"ok"`
	Code   string `json:"code" jsonschema:"ok, or the code of the problem"`
	Detail string `json:"detail" jsonschema:"for people"`
	State  string `json:"state,omitempty" jsonschema:"of the entry now"`
}

// carryOut performs an order on the entry with this ID. Pages, JSON and the
// command line all use this function, for one entry and for several.
func (b *Board) carryOut(ctx context.Context, r *http.Request, id string, o order) (async.Callback, error) {
	v := verbs[o.verb]
	c, err := b.hub.Find(ctx, id)
	if err != nil {
		return async.Callback{}, err
	}
	by, err := b.permit(ctx, r, v.action, c)
	if err == nil {
		err = b.perform(ctx, v, c, by, o)
	}
	code := "ok"
	if err != nil {
		code = problemOf(err).Code
	}
	b.log.InfoContext(ctx, "board: action", append(about(c), "action", o.verb, "by", by, "code", code)...)
	if errors.Is(err, async.ErrNotFound) {
		return async.Callback{}, err
	}
	return c, err
}

// perform checks an order, audits it, and performs the action.
func (b *Board) perform(ctx context.Context, v verb, c async.Callback, by string, o order) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.round != "" && o.round != roundOf(c) {
		return errRound
	}
	if v.action == Retry && c.Info().Early {
		return errEarly
	}
	if o.verb == "complete" {
		if err := b.decodes(c, o); err != nil {
			return err // before the action
		}
	}
	if err := b.audited(ctx, by, v.action, c, o.why); err != nil {
		return err
	}
	return b.act(ctx, v, c, by, o)
}

// operatorNote is the data of the notes that the board writes.
type operatorNote struct {
	Action string `json:"action"`
	Why    string `json:"why"`
}

// act performs an action. The reason becomes a note in the same write, so that
// the journal contains exactly the actions that took place. If the journal is
// full, the operator can still act, and the log contains the line.
func (b *Board) act(ctx context.Context, v verb, c async.Callback, by string, o order) error {
	data, err := json.Marshal(operatorNote{o.verb, strings.TrimSpace(o.why)})
	if err != nil {
		return err
	}
	note := async.Note{Kind: noteKind, By: strings.ToValidUTF8(by, "\uFFFD"), Data: data}
	err = v.do(b, async.WithNote(ctx, note), c, o)
	if !errors.Is(err, async.ErrJournalFull) {
		return err
	}
	b.log.WarnContext(ctx, "board: the journal is full, so it does not have the reason of an action", append(about(c), "action", o.verb, "by", by)...)
	return v.do(b, ctx, c, o)
}

// decodes reports whether the result has the type that the entry awaits.
func (b *Board) decodes(c async.Callback, o order) error {
	t, ok := b.types[c.Info().ResultType]
	if !ok {
		return fmt.Errorf("%w: %q", errUnknownType, c.Info().ResultType)
	}
	_, err := t.Decode("application/json", resultOf(t, o))
	return err
}

// resultOf returns the body of a result. An activity without a result needs no
// body.
func resultOf(t answer.Type, o order) []byte {
	if name, _ := async.ResultType[async.None](); t.Name() == name && len(bytes.TrimSpace(o.result)) == 0 {
		return []byte("{}")
	}
	return o.result
}

func (b *Board) complete(ctx context.Context, c async.Callback, o order) error {
	t := b.types[c.Info().ResultType]
	return t.Complete(ctx, c, "application/json", resultOf(t, o))
}

func (b *Board) fail(ctx context.Context, c async.Callback, o order) error {
	return c.Fail(ctx, temporal.NewApplicationError(o.message, o.kind))
}

func (b *Board) reject(ctx context.Context, c async.Callback, o order) error {
	return c.Reject(ctx, temporal.NewApplicationError(o.message, o.kind))
}

// lineOf describes the result of an order.
func (b *Board) lineOf(ctx context.Context, given string, o order, c async.Callback, err error) line {
	if err != nil {
		p, id := problemOf(err), ""
		if id = c.Info().ID; id == "" {
			id = shown(given)
		}
		return line{ID: id, Code: p.Code, Detail: p.Detail}
	}
	l := line{ID: c.Info().ID, OK: true, Code: "ok", Detail: doneText[o.verb]}
	if now, err := b.hub.Find(ctx, c.Info().ID); err == nil {
		i := now.Info()
		l.State = stateName(i.State)
		if verbs[o.verb].action == Answer && i.State == async.Settled {
			l.Detail += " Temporal does not have it yet; running hubs deliver it."
		}
	}
	return l
}

// shown returns the part of an unknown ID that may be repeated. The ID may be a
// callback ID or only its secret, so shown repeats nothing except a time at the
// beginning. The ID of an entry with a business key has no time, and is as long
// as a secret.
func shown(id string) string {
	const show = 8
	if !startsWithTime(id) {
		return "?"
	}
	return id[:show] + "…"
}

const (
	timeLen       = 10              // characters of the time at the beginning of an ID
	entryIDLen    = timeLen + 22    // characters
	callbackIDLen = entryIDLen + 22 // the entry's ID and the secret
	timeDigits    = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
)

// startsWithTime reports whether a text has the form of an entry's ID, or of a
// callback ID, that begins with a time. The first digit of the time is zero
// until the year 3084.
func startsWithTime(id string) bool {
	return (len(id) == entryIDLen || len(id) == callbackIDLen) && id[0] == '0' &&
		strings.Trim(id[:timeLen], timeDigits) == "" && store.CheckID(id) == nil
}

var doneText = map[string]string{
	"retry":    "Due now. A running hub tries at once, unless it cannot reach Temporal for the namespace.",
	"abandon":  "Abandoned. Nothing is delivered, and the activity goes on in Temporal until it times out.",
	"complete": "Accepted as the activity's result.",
	"fail":     "Accepted as the attempt's failure. Temporal retries the activity by its retry policy.",
	"reject":   "Accepted as the activity's failure, without retries.",
}

// actOnOne serves the actions on one entry.
func (b *Board) actOnOne(x *exchange) {
	o, typed, err := b.readOrder(x)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), actTime)
	defer cancel()
	var c async.Callback
	if err == nil {
		c, err = b.carryOut(ctx, x.r, x.id, o)
	}
	switch {
	case err == nil && x.json:
		x.replyJSON(http.StatusOK, b.lineOf(ctx, x.id, o, c, nil))
	case err == nil:
		b.showResults(x, o.verb, []line{b.lineOf(ctx, x.id, o, c, nil)})
	case x.json:
		b.refuse(x, err)
	default:
		b.showFailed(x, typed, err)
	}
}

// actOnSeveral serves the actions on selected rows.
func (b *Board) actOnSeveral(x *exchange) {
	o, rows, err := b.readBulk(x)
	if err != nil {
		b.refuse(x, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), bulkTime)
	defer cancel()
	lines := make([]line, 0, len(rows))
	for _, row := range rows {
		o.round = row.Round
		c, err := b.carryOut(ctx, x.r, row.ID, o)
		lines = append(lines, b.lineOf(ctx, row.ID, o, c, err))
	}
	if x.json {
		x.replyJSON(http.StatusOK, results{lines})
		return
	}
	b.showResults(x, o.verb, lines)
}

// results is the response to an action on several entries.
type results struct {
	Results []line `json:"results"`
}
