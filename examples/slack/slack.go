// Package slack is an example of an adapter for package web/inbox: people decide
// with the buttons of a Slack message.
//
// Slack calls the handler for each press of a button. The handler verifies
// Slack's signature, maps the Slack user to a Person, and calls Inbox.Decide.
// The rules of the request thus apply as on the pages. Slack waits three
// seconds for the handler.
package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// Adapter is the http.Handler for Slack's interactivity request URL.
type Adapter struct {
	// Inbox is the inbox to which requests are posted. Required.
	Inbox *inbox.Inbox

	// Verifier verifies Slack's signature: webhook.Slack with the app's signing
	// secret. Required.
	Verifier webhook.Verifier

	// Person returns the person of a Slack user, with the person's current
	// groups. If Person returns an error, the action is refused. Required.
	Person func(ctx context.Context, team, user string) (inbox.Person, error)

	// Reply sends a text to the person who pressed the button, by the response
	// URL that came with the press. Reply is called after Slack has its answer.
	// Required.
	Reply func(ctx context.Context, responseURL, text string) error
}

const (
	maxBody   = 64 << 10
	wait      = 2500 * time.Millisecond // Slack waits for three seconds
	replyTime = 10 * time.Second
	prefix    = "latchkey:" // the prefix of Latchkey's action IDs
)

// press is the part of Slack's request that the adapter reads.
type press struct {
	Type string `json:"type"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	Team struct {
		ID string `json:"id"`
	} `json:"team"`
	ResponseURL string `json:"response_url"`
	Actions     []struct {
		ActionID string `json:"action_id"`
		Value    string `json:"value"`
	} `json:"actions"`
}

// Message returns Slack blocks for a request: its title, and a button for each
// answer. path is the path that Inbox.Post returned. An answer is a form: see
// inbox.Inbox.Decide.
func Message(path string, r inbox.Request, answers map[string]url.Values, order ...string) ([]byte, error) {
	type text struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	type button struct {
		Type     string `json:"type"`
		ActionID string `json:"action_id"`
		Text     text   `json:"text"`
		Value    string `json:"value"`
	}
	var buttons []button
	for n, label := range order {
		value := path + "?" + answers[label].Encode()
		buttons = append(buttons, button{"button", fmt.Sprint(prefix, n), text{"plain_text", label}, value})
	}
	return json.Marshal(map[string]any{"blocks": []any{
		map[string]any{"type": "section", "text": text{"plain_text", r.Title}},
		map[string]any{"type": "actions", "elements": buttons},
	}})
}

// ServeHTTP responds to Slack after the answer is stored, and then replies to
// the person. A press that a rule refuses gets 200, because Slack has delivered
// it. After a 503, Slack shows the person that the press failed.
func (a *Adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(wait)) // a test's recorder has no read deadline
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is too large or too slow", http.StatusBadRequest)
		return
	}
	if _, err := a.Verifier.Verify(r.Header, body, time.Now()); err != nil {
		http.Error(w, "the signature is wrong", http.StatusUnauthorized)
		return
	}
	form, err := url.ParseQuery(string(body))
	var p press
	if err == nil {
		err = json.Unmarshal([]byte(form.Get("payload")), &p)
	}
	if err != nil {
		http.Error(w, "there is no payload", http.StatusBadRequest)
		return
	}
	// The person has pressed the button, even if the connection ends.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), wait)
	defer cancel()
	text, status := a.pressed(ctx, p)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
	_ = http.NewResponseController(w).Flush()
	if text == "" {
		return
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(r.Context()), replyTime)
	defer cancel()
	_ = a.Reply(ctx, p.ResponseURL, text) // if this fails, the page of the request shows the result
}

// pressed performs the action, and returns the text for the person.
func (a *Adapter) pressed(ctx context.Context, p press) (text string, status int) {
	if p.Type != "block_actions" || len(p.Actions) != 1 || !strings.HasPrefix(p.Actions[0].ActionID, prefix) {
		return "", http.StatusOK // not ours
	}
	path, query, _ := strings.Cut(p.Actions[0].Value, "?")
	form, err := url.ParseQuery(query)
	if err != nil {
		return "This button can't be read.", http.StatusOK
	}
	person, err := a.Person(ctx, p.Team.ID, p.User.ID)
	if err != nil {
		return "You are not known here.", http.StatusOK
	}
	err = a.Inbox.Decide(ctx, path, person, form)
	refusal, refused := errors.AsType[*inbox.Refusal](err)
	code, _ := webhook.Status(err)
	switch {
	case err == nil:
		return "Your answer is in.", http.StatusOK
	case refused:
		return refusal.Text, http.StatusOK
	case errors.Is(err, async.ErrSettled):
		return "This request was decided before. Your answer was not counted.", http.StatusOK
	case len(answer.Invalids(err)) > 0:
		return "This button doesn't fit the request any more. Nothing was changed.", http.StatusOK
	case code < 500:
		return "This request is over.", http.StatusOK
	default:
		return "It is not known whether your answer arrived. Press again: nothing is counted twice.", http.StatusServiceUnavailable
	}
}
