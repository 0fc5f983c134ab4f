package inbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
)

// requestJSON is a request as programs see it.
type requestJSON struct {
	Item            string     `json:"item"`
	Request         Request    `json:"request"`
	Posted          time.Time  `json:"posted"`
	State           string     `json:"state"`
	Delivered       bool       `json:"delivered"`
	CancelRequested bool       `json:"cancelRequested"`
	Votes           []voteJSON `json:"votes"`
	MayVote         bool       `json:"mayVote"`
	Why             string     `json:"why,omitempty"`
}

type voteJSON struct {
	By      Person    `json:"by"`
	At      time.Time `json:"at"`
	Agrees  bool      `json:"agrees"`
	Comment string    `json:"comment,omitempty"`
}

// actionJSON is an action that a program sends.
type actionJSON struct {
	Do      action          `json:"do,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
	Comment string          `json:"comment,omitempty"`
	To      string          `json:"to,omitempty"`
}

type problemJSON struct {
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Detail string        `json:"detail"`
	Code   string        `json:"code"`
	Errors []pointedJSON `json:"errors,omitempty"`
}

type pointedJSON struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// wantsJSON reports whether the request has a JSON body, or accepts JSON.
func wantsJSON(r *http.Request) bool {
	return isJSONBody(r) || strings.Contains(r.Header.Get("Accept"), "application/json")
}

func isJSONBody(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && mediaType == "application/json"
}

// decideJSON performs an action that was sent as JSON.
func (x *Inbox) decideJSON(w http.ResponseWriter, r *http.Request, c async.Callback, p Person) {
	in, err := readAction(r)
	if err == nil {
		_, err = x.act(r.Context(), c, p, in)
	}
	if err != nil {
		x.problem(w, err)
		return
	}
	if now, err := x.hub.Find(r.Context(), c.Info().ID); err == nil && now.ID() == c.ID() {
		c = now
	}
	x.request(w, r, c, p, sent{})
}

func readAction(r *http.Request) (input, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return input{}, err
	}
	if err := answer.Strict(body); err != nil {
		return input{}, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	var a actionJSON
	if d.Decode(&a) != nil {
		return input{}, answer.Join([]answer.Invalid{{Detail: `must be an object with "answer", and perhaps "do", "comment" and "to"`}})
	}
	form := url.Values{fieldDo: {string(a.Do)}, fieldComment: {a.Comment}, fieldTo: {a.To}}
	if a.Do == "" {
		a.Do = vote
	}
	if a.Do == vote && a.Answer == nil {
		return input{}, answer.Join([]answer.Invalid{{Pointer: "/answer", Detail: "is required"}})
	}
	in, err := ownInput(form)
	in.answer = a.Answer
	return in, err
}

// json returns the view for programs.
func (v requestView) json(c async.Callback) requestJSON {
	j := read(c.Notes())
	_, by, _ := j.tally()
	i := c.Info()
	out := requestJSON{
		Item: itemOf(c), Request: v.Request, Posted: v.Posted, State: i.State.String(), Delivered: i.Delivered,
		CancelRequested: i.CancelRequested, Votes: []voteJSON{}, MayVote: v.CanVote, Why: v.Why,
	}
	for _, b := range by {
		out.Votes = append(out.Votes, voteJSON(b))
	}
	return out
}

// problem answers with an RFC 9457 problem document.
func (x *Inbox) problem(w http.ResponseWriter, err error) {
	status, code := statusOf(err)
	p := problemJSON{Title: http.StatusText(status), Status: status, Detail: say(err), Code: code}
	for _, i := range answer.Invalids(err) {
		p.Errors = append(p.Errors, pointedJSON{i.Pointer, i.Detail})
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	b, marshalErr := json.Marshal(p)
	if marshalErr != nil { // cannot fail, because it consists of strings and numbers
		status = http.StatusInternalServerError
	}
	x.write(w, status, "application/problem+json", b)
}

func (x *Inbox) reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		x.problem(w, errors.New("inbox: the answer can't be encoded"))
		return
	}
	x.write(w, status, "application/json", b)
}

func (x *Inbox) write(w http.ResponseWriter, status int, mediaType string, b []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // the caller may be gone
}
