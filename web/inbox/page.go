package inbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"text/template/parse"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
)

// parsePages returns the templates of the pages, with the given replacements.
func parsePages(replace *template.Template) (*template.Template, error) {
	t, err := template.New("").Funcs(template.FuncMap{"visible": visible, "when": when}).ParseFS(files, "templates/*.html")
	if err != nil || replace == nil {
		return t, err
	}
	for _, r := range replace.Templates() {
		if r.Tree == nil || parse.IsEmptyTree(r.Tree.Root) { // for example, the name of a file that only defines others
			continue
		}
		if t.Lookup(r.Name()) == nil {
			return nil, fmt.Errorf("must be named header, footer, list, request or message, got %q", r.Name())
		}
		if _, err := t.AddParseTree(r.Name(), r.Tree.Copy()); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// when formats a time for pages.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 January 2006, 15:04 UTC")
}

// page contains the data of every page.
type page struct {
	Root   string // the address of the inbox, relative to this page
	Title  string
	Person Person // zero if no person is signed in
}

// root returns the address of the inbox relative to the address of a request.
func root(r *http.Request) string {
	return strings.Repeat("../", max(strings.Count(strings.TrimPrefix(r.URL.Path, "/"), "/"), 0))
}

// messageView is a page with a sentence.
type messageView struct {
	page
	Text string
}

// sent is a submitted form and its result.
type sent struct {
	form url.Values
	in   input
	err  error
	done string // the action before the redirect to this page
}

// requestView is the page of a request.
type requestView struct {
	page
	Request Request
	Facts   []Fact
	Posted  time.Time
	Overdue bool
	Open    bool
	Link    bool

	Notice, Problem string
	State           []string // sentences
	Votes           []voteView
	Events          []string
	Progress        string

	Why        string // why the person cannot answer
	Fields     []fieldView
	Comment    fieldView
	Name       fieldView
	To         fieldView
	CanVote    bool
	CanClaim   bool
	CanRelease bool
	CanPass    bool
	CanComment bool
	TakeOver   bool
}

// fieldView is a field with its typed text and its problem.
type fieldView struct {
	field
	Value, Problem string
}

// voteView is an answer as pages show it.
type voteView struct {
	Who, At, Comment string
	Answer           []Fact
	Agrees, Decided  bool
}

// message shows an error.
func (x *Inbox) message(w http.ResponseWriter, r *http.Request, p Person, err error) {
	status, code := statusOf(err)
	if status >= 500 {
		x.log.WarnContext(r.Context(), "inbox: a page can't be shown", slog.String("code", code), slog.Any("error", err))
	}
	if wantsJSON(r) {
		x.problem(w, err)
		return
	}
	x.show(w, status, "message", messageView{page: page{Root: root(r), Title: http.StatusText(status), Person: p}, Text: say(err)})
}

// request shows a request, perhaps with a refused form.
func (x *Inbox) request(w http.ResponseWriter, r *http.Request, c async.Callback, p Person, s sent) {
	v, err := x.viewOf(r, c, p, s)
	if err != nil {
		x.message(w, r, p, err)
		return
	}
	status := http.StatusOK
	if s.err != nil {
		status, _ = statusOf(s.err)
		if v.Notice != "" { // the answer is the same as the accepted one
			status = http.StatusOK
		}
		if status >= 500 {
			x.log.WarnContext(r.Context(), "inbox: an answer could not be taken", slog.String("callback", c.String()), slog.Any("error", s.err))
		}
	}
	if wantsJSON(r) && s.form == nil {
		x.reply(w, status, v.json(c))
		return
	}
	x.show(w, status, "request", v)
}

// viewOf returns the page of a request, if the person may view it.
func (x *Inbox) viewOf(r *http.Request, c async.Callback, p Person, s sent) (requestView, error) {
	j := read(c.Notes())
	may := x.may(r.Context(), c, p, j)
	if err := j.allows(p, look, nil, may); err != nil {
		return requestView{}, err
	}
	f, err := x.formOf(c)
	if err != nil {
		return requestView{}, err
	}
	i := c.Info()
	v := requestView{
		page: page{Root: root(r), Title: j.request.Title, Person: p}, Request: *j.request, Facts: j.request.Facts, Posted: j.posted, Link: p.Link,
		Open: i.State == async.Waiting, Overdue: i.State == async.Waiting && !j.request.Due.IsZero() && time.Now().After(j.request.Due),
	}
	v.describe(&j, i, f)
	v.remark(&j, p, s)
	if !v.Open {
		return v, nil
	}
	if err := j.allows(p, vote, nil, may); err != nil {
		v.Why = say(err)
	} else {
		v.CanVote = true
	}
	can := func(a action, to *Person) bool { return j.allows(p, a, to, may) == nil }
	mine := j.holder != nil && j.holder.Person.ID == p.ID
	v.TakeOver = j.holder != nil && !mine
	v.CanClaim, v.CanRelease, v.CanComment = can(claim, nil) && !mine, can(release, nil), can(comment, nil)
	v.CanPass = can(delegate, &Person{ID: "\u2026"})
	v.fill(f, &j, p, s)
	return v, nil
}

// describe sets the description of the request's state.
func (v *requestView) describe(j *journal, i async.Info, f *form) {
	accepted, by, done := j.tally()
	settled := i.State == async.Settled || i.State == async.Closed && i.Delivered
	say := func(format string, args ...any) { v.State = append(v.State, fmt.Sprintf(format, args...)) }
	switch {
	case i.State == async.Waiting:
		if n := j.request.needs(); n > 1 {
			v.Progress = fmt.Sprintf("%d people must give the same answer. ", n) + answers(len(j.votes)) + " so far."
		}
		if j.holder != nil {
			say("%s has claimed this request since %s.", visible(j.holder.Person.label()), when(j.holder.At))
		}
		if i.CancelRequested {
			say("The workflow has asked to cancel this request: an answer is no longer wanted, and may have no effect.")
		}
		if i.Paused {
			say("The activity is paused. An answer is accepted nevertheless.")
		}
	case settled && done && i.Outcome == "result":
		say("Decided on %s.", when(i.Settled))
	case settled:
		say("Answered on %s, but not on this page: with a %s.", when(i.Settled), i.Outcome)
	case i.Outcome != "":
		say("Decided on %s, but the activity was over before the answer arrived: %s.", when(i.Settled), endOf(i.End))
	default:
		say("This request is over without an answer: %s.", endOf(i.End))
	}
	if settled && i.Delivered {
		say("The workflow has the answer.")
	} else if settled {
		say("The answer is accepted and safe. It is on its way to the workflow.")
	}
	for n, e := range j.votes {
		v.Votes = append(v.Votes, voteView{
			Who: visible(e.Person.label()), At: when(e.At), Comment: e.Comment, Answer: f.show(e.Answer),
			Agrees: done && by[n].Agrees, Decided: settled && done && string(accepted) != "",
		})
	}
	for _, e := range j.events {
		if text := e.sentence(); text != "" {
			v.Events = append(v.Events, when(e.At)+": "+visible(text))
		}
	}
}

func answers(n int) string {
	if n == 1 {
		return "1 answer"
	}
	return fmt.Sprintf("%d answers", n)
}

func endOf(err error) string {
	switch {
	case errors.Is(err, async.ErrExpired):
		return "its time ran out"
	case errors.Is(err, async.ErrAbandoned):
		return "an operator has ended it"
	default:
		return "the workflow no longer waits for it"
	}
}

// sentence returns a sentence about an event of the history.
func (e event) sentence() string {
	who := e.Person.label()
	switch e.Kind {
	case noteVote:
		return who + " answered."
	case noteClaim:
		return who + " claimed it."
	case noteRelease:
		return who + " released it."
	case noteDelegate:
		return who + " passed it on to " + e.To + "." + after(e.Comment)
	case noteComment:
		return who + " wrote: " + e.Comment
	default:
		return ""
	}
}

func after(comment string) string {
	if comment == "" {
		return ""
	}
	return " " + comment
}

// remark sets the sentence about the result of a submitted form. A person who
// answers after the decision sees the decision.
func (v *requestView) remark(j *journal, p Person, s sent) {
	if s.err == nil {
		v.Notice = map[string]string{
			"vote": "Your answer is in.", "claim": "You have claimed this request.", "release": "You have released this request.",
			"delegate": "You have passed this request on.", "comment": "Your comment is in.",
		}[s.done]
		return
	}
	v.Problem = say(s.err)
	if !errors.Is(s.err, async.ErrSettled) || s.in.do != vote {
		return
	}
	accepted, _, done := j.tally()
	mine, err := canonical(s.in.answer)
	switch {
	case err != nil || !done:
	case string(accepted) == string(mine):
		v.Problem, v.Notice = "", "This request was decided before, and your answer is the same. Nothing was changed."
	default:
		v.Problem = "This request was decided before, and your answer is a different one. It was not counted."
	}
}

// fill fills the form with the typed text, or otherwise with the person's last
// answer.
func (v *requestView) fill(f *form, j *journal, p Person, s sent) {
	wrong := make(map[string]string)
	for _, i := range answer.Invalids(s.err) {
		name, _, _ := strings.Cut(strings.TrimPrefix(i.Pointer, "/"), "/")
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		if f.whole && !strings.HasPrefix(name, "_") {
			name = wholeName
		}
		wrong[name] = i.Detail
	}
	before := s.form
	if mine, ok := j.voteOf(p); ok && before == nil {
		before = f.values(mine.Answer)
		before.Set(fieldComment, mine.Comment)
	}
	known := map[string]bool{fieldComment: true, fieldName: true, fieldTo: true}
	for _, field := range f.fields {
		known[field.Name] = true
		v.Fields = append(v.Fields, fieldView{field, before.Get(field.Name), wrong[field.Name]})
	}
	own := func(id, name, label, kind string) fieldView {
		return fieldView{field{Name: name, ID: id, Label: label, Kind: kind}, before.Get(name), wrong[name]}
	}
	v.Comment, v.Name, v.To = own("comment", fieldComment, "Comment", isText), own("name", fieldName, "Your name", isLine), own("to", fieldTo, "Pass on to", isLine)
	v.Name.Required, v.Comment.MaxRunes = true, maxComment
	for name, detail := range wrong {
		if !known[name] {
			v.Problem += " " + visible(name) + " " + detail + "."
		}
	}
}

// canonical returns the JSON by which answers are compared.
func canonical(body json.RawMessage) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}

// show renders a page completely before it sends it, so that no page is cut off.
func (x *Inbox) show(w http.ResponseWriter, status int, name string, view any) {
	var b bytes.Buffer
	if err := x.pages.ExecuteTemplate(&b, name, view); err != nil {
		x.log.Error("inbox: a template fails", slog.Any("error", err))
		http.Error(w, "The page can't be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the browser may be gone
}
