package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
)

// maxComment is the maximum number of characters of a comment.
const maxComment = 2000

// input is an action of a person, from any source.
type input struct {
	do      action
	answer  json.RawMessage // of a vote
	comment string
	to      string // of a delegation
}

// Names that the inbox uses for its own fields in a form.
const (
	fieldDo      = "_do"
	fieldComment = "_comment"
	fieldTo      = "_to"
	fieldName    = "_name"
)

// Decide performs a person's action on the request with this name: the path
// that Post returned, or a callback ID. Decide is for adapters, for example to
// a chat system, that have authenticated the person. The form has the fields of
// the result type by their JSON names, and may have "_comment". Booleans,
// numbers and choices have JSON values. With "_do", the form claims, releases,
// delegates (to "_to") or comments. Repeats change nothing.
//
// The same rules apply as on the pages. A [Refusal] names the rule that refuses
// the action. An error with answer.Invalids describes the problems of the form.
// In both cases nothing was changed, and the error may be shown to the person.
// Other errors come from async.Pending.Decide; webhook.Status returns their
// HTTP status. ErrSettled means that the request was decided before.
func (x *Inbox) Decide(ctx context.Context, callback string, p Person, form url.Values) error {
	p.Link = false
	if problem := checkWho(p.ID); problem != "" {
		return answer.Join([]answer.Invalid{{Detail: "the ID of the person " + problem}})
	}
	c, err := x.open(ctx, callback)
	if err != nil {
		return err
	}
	f, err := x.formOf(c)
	if err != nil {
		return err
	}
	in, err := f.input(form)
	if err != nil {
		return err
	}
	_, err = x.act(ctx, c, p, in)
	return err
}

// input reads a submitted form.
func (f *form) input(sent url.Values) (input, error) {
	in, err := ownInput(sent)
	problems := problems(answer.Invalids(err))
	if in.do == vote {
		body, err := f.read(sent)
		problems = append(problems, answer.Invalids(err)...)
		in.answer = body
	}
	return in, problems.err()
}

// ownInput reads the inbox's own fields of a form.
func ownInput(sent url.Values) (input, error) {
	var problems problems
	own := map[string]string{fieldDo: "", fieldComment: "", fieldTo: "", fieldName: ""}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		values := sent[name]
		if _, known := own[name]; !known {
			if strings.HasPrefix(name, "_") {
				problems.add(name, "is unknown")
			}
			continue
		}
		if len(values) != 1 {
			problems.add(name, "must be given once")
			continue
		}
		own[name] = newlines(values[0])
	}
	in := input{do: action(own[fieldDo]), comment: strings.TrimSpace(own[fieldComment]), to: strings.TrimSpace(own[fieldTo])}
	if in.do == "" {
		in.do = vote
	}
	if detail := checkText(in.comment, maxComment, true); detail != "" {
		problems.add(fieldComment, detail)
	}
	if in.do == comment && in.comment == "" {
		problems.add(fieldComment, "is required")
	}
	return in, problems.err()
}

// act is the only function that performs an action of a person. act returns the
// journal after the action.
func (x *Inbox) act(ctx context.Context, c async.Callback, p Person, in input) (j journal, err error) {
	defer func() { x.logAction(ctx, c, p, in.do, err) }()
	f, err := x.formOf(c)
	if err != nil {
		return j, err
	}
	n := note{Person: p, Comment: in.comment}
	var value any
	var to *Person
	switch in.do {
	case vote:
		if value, n.Answer, err = f.decode(in.answer); err != nil {
			return j, err
		}
	case delegate:
		who, err := x.lookup(ctx, in.to)
		if err != nil {
			x.log.InfoContext(ctx, "inbox: a delegation is refused", slog.Any("error", err))
			return j, refuse("not-offered", "%s is not known here.", visible(in.to))
		}
		to, n.To = &who, in.to
	}
	before := read(c.Notes())
	mayErr := x.may(ctx, c, p, before)
	if err := before.allows(p, in.do, to, mayErr); err != nil {
		return before, err
	}
	n.Person = before.concise(p)
	data, err := json.Marshal(n)
	if err != nil {
		return before, err
	}
	stored := async.Note{Kind: in.do.kind(), By: p.by(), Data: data}
	_, err = f.typ.Decide(ctx, c, stored, func(notes []async.Note) (any, bool, error) {
		mine := indexOf(notes, stored)
		now := read(notes[:mine])
		if err := now.allows(p, in.do, to, mayErr); err != nil {
			return nil, false, err
		}
		j = read(notes)
		if in.do != vote {
			return nil, false, nil
		}
		accepted, by, done := j.tally()
		if !done {
			return nil, false, nil
		}
		result := value
		if string(accepted) != string(n.Answer) {
			if result, err = f.typ.Decode("application/json", accepted); err != nil {
				return nil, false, err
			}
		}
		return withVotes(result, by), true, nil
	})
	if in.do == delegate && err == nil && x.o.OnPost != nil && !slices.Contains(j.sent, in.to) {
		if sendErr := x.send(ctx, c, *j.request, in.to); sendErr != nil {
			x.log.WarnContext(ctx, "inbox: the message about a delegation was not sent", slog.String("callback", c.String()), slog.Any("error", sendErr))
		}
	}
	return j, err
}

// by returns the author of a note.
func (p Person) by() string {
	if p.Link {
		return p.String()
	}
	return p.ID
}

// indexOf returns the index of a note that was added now or before.
func indexOf(notes []async.Note, n async.Note) int {
	for i, other := range slices.Backward(notes) {
		if other.Kind == n.Kind && other.By == n.By && string(other.Data) == string(n.Data) {
			return i
		}
	}
	return len(notes)
}

// concise returns a person as a note stores it: with only those groups that
// matter for the request.
func (j *journal) concise(p Person) Person {
	p.Groups = slices.DeleteFunc(slices.Clone(p.Groups), func(g string) bool {
		return !slices.Contains(j.request.For, g) && !j.seats[g]
	})
	return p
}

// may calls Options.May.
func (x *Inbox) may(ctx context.Context, c async.Callback, p Person, j journal) error {
	if x.o.May == nil || j.request == nil {
		return nil
	}
	err := x.o.May(ctx, p, *j.request, c.Info())
	if err != nil {
		x.log.DebugContext(ctx, "inbox: May refuses", slog.String("callback", c.String()), slog.Any("error", err))
	}
	return err
}

func (x *Inbox) logAction(ctx context.Context, c async.Callback, p Person, do action, err error) {
	level := slog.LevelDebug
	status, code := statusOf(err)
	if status >= 500 {
		level = slog.LevelWarn
	}
	args := []any{slog.String("action", string(do)), slog.String("callback", c.String()), slog.Bool("link", p.Link), slog.String("code", code)}
	if level > slog.LevelDebug && !errors.Is(err, context.Canceled) {
		args = append(args, slog.Any("error", err))
	}
	x.log.Log(ctx, level, "inbox: action", args...)
}
