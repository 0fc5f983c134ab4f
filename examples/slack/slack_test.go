package slack

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
	"github.com/latchkey-go/latchkey/web/webhook"
)

const secret = "8f742231b10e8888abcd99yyyzzz85a5"

// Decision is the answer that people give.
type Decision struct {
	Approved bool         `json:"approved"`
	Decided  []inbox.Vote `json:"decided,omitempty"`
}

// SetDecided is called with the votes before the decision is accepted.
func (d *Decision) SetDecided(by []inbox.Vote) { d.Decided = by }

// rig is an adapter, and a waiting request.
type rig struct {
	t        *testing.T
	hub      *async.Hub
	temporal *asynctest.Completer
	adapter  *Adapter
	id, path string
	replies  []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, temporal: new(asynctest.Completer)}
	r.hub = asynctest.NewHub(t, async.Options{Completer: r.temporal, DeliveryWait: time.Minute})
	typ, err := answer.For[Decision](answer.TypeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	box, err := inbox.New(r.hub, inbox.Options{
		Types: []answer.Type{typ}, Logger: slog.New(slog.DiscardHandler),
		Identify: func(http.ResponseWriter, *http.Request) (inbox.Person, error) {
			return inbox.Person{}, errors.New("not here")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := webhook.Slack(secret)
	if err != nil {
		t.Fatal(err)
	}
	r.adapter = &Adapter{
		Inbox: box, Verifier: verifier,
		Person: func(_ context.Context, team, user string) (inbox.Person, error) {
			known := map[string]inbox.Person{
				"T0001/U0ADA": {ID: "ada@example.com", Name: "Ada", Groups: []string{"finance"}},
				"T0001/U0EVE": {ID: "eve@example.com", Name: "Eve", Groups: []string{"finance"}},
				"T0001/U0CYD": {ID: "cyd@example.com", Name: "Cyd"},
			}
			p, ok := known[team+"/"+user]
			if !ok {
				return p, errors.New("unknown")
			}
			return p, nil
		},
		Reply: func(_ context.Context, responseURL, text string) error {
			if responseURL != "https://hooks.slack.example/actions/T0001/1/x" {
				t.Errorf("the response URL is %q", responseURL)
			}
			r.replies = append(r.replies, text)
			return nil
		},
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, r.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) (err error) {
			r.id = p.ID()
			r.path, err = box.Post(ctx, p.Callback, inbox.Request{Title: "Dinner", For: []string{"finance"}, NotBy: []string{"eve@example.com"}})
			return err
		})
	}, activity.RegisterOptions{Name: "ask"})
	if _, err := env.ExecuteActivity("ask"); err != activity.ErrResultPending {
		t.Fatal(err)
	}
	return r
}

// press sends a recorded payload with the value of this request's button. The
// payload is signed at the given time.
func (r *rig) press(name, user, query string, at time.Time, key string) *httptest.ResponseRecorder {
	r.t.Helper()
	payload, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		r.t.Fatal(err)
	}
	text := strings.NewReplacer("$USER", user, "$VALUE", r.path+"?"+query).Replace(string(payload))
	body := url.Values{"payload": {text}}.Encode()
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "v0:%d:%s", at.Unix(), body)
	req := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, "/slack", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Slack-Request-Timestamp", fmt.Sprint(at.Unix()))
	req.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	w := httptest.NewRecorder()
	r.adapter.ServeHTTP(w, req)
	return w
}

func (r *rig) state() async.State {
	r.t.Helper()
	c, err := r.hub.Open(r.t.Context(), r.id)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.Info().State
}

// TestPresses: the rules of the inbox also apply to buttons.
func TestPresses(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		payload, user, query string
		at                   time.Time
		key                  string
		status               int
		reply                string
		decided              bool
	}{
		"approve":             {"button", "U0ADA", "approved=true", now, secret, 200, "Your answer is in.", true},
		"a wrong signature":   {"button", "U0ADA", "approved=true", now, "another", 401, "", false},
		"an old request":      {"button", "U0ADA", "approved=true", now.Add(-time.Hour), secret, 401, "", false},
		"barred":              {"button", "U0EVE", "approved=true", now, secret, 200, "You may not decide on this request yourself.", false},
		"not asked":           {"button", "U0CYD", "approved=true", now, secret, 200, "This request is not for you.", false},
		"unknown":             {"button", "U0XXX", "approved=true", now, secret, 200, "You are not known here.", false},
		"another form":        {"button", "U0ADA", "aproved=true", now, secret, 200, "This button doesn't fit the request any more. Nothing was changed.", false},
		"another app's":       {"other", "U0ADA", "approved=true", now, secret, 200, "", false},
		"a view's submission": {"view", "U0ADA", "approved=true", now, secret, 200, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			w := r.press(c.payload, c.user, c.query, c.at, c.key)
			if w.Code != c.status || strings.Join(r.replies, "|") != c.reply {
				t.Errorf("status %d and replies %q, want %d and %q", w.Code, r.replies, c.status, c.reply)
			}
			if decided := r.state() == async.Closed; decided != c.decided {
				t.Errorf("decided: %v, want %v", decided, c.decided)
			}
		})
	}
}

// TestRedelivered: Slack repeats a press if it believes that the press was
// lost, and a person presses again.
func TestRedelivered(t *testing.T) {
	r := newRig(t)
	for range 3 {
		if w := r.press("button", "U0ADA", "approved=true", time.Now(), secret); w.Code != 200 {
			t.Fatalf("status %d", w.Code)
		}
	}
	r.press("button", "U0ADA", "approved=false", time.Now(), secret)
	if want := "Your answer is in.|Your answer is in.|Your answer is in.|This request was decided before. Your answer was not counted."; strings.Join(r.replies, "|") != want {
		t.Errorf("the replies are %q", r.replies)
	}
	calls := r.temporal.Completed()
	if len(calls) != 1 || !strings.Contains(string(calls[0].Outcome.Result.Payloads[0].Data), "ada@example.com") {
		t.Errorf("Temporal has %v, want one result that says who decided", calls)
	}
}

// TestMessage: the message has no callback ID, and the values of its buttons
// identify the request.
func TestMessage(t *testing.T) {
	r := newRig(t)
	b, err := Message(r.path, inbox.Request{Title: "Dinner"}, map[string]url.Values{"Approve": {"approved": {"true"}}, "Reject": {"approved": {"false"}}}, "Approve", "Reject")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), r.id) || !strings.Contains(string(b), r.path+"?approved=true") || !json.Valid(b) {
		t.Errorf("the message is %s", b)
	}
	if w := httptest.NewRecorder(); true {
		r.adapter.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/slack", nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("GET: %d", w.Code)
		}
	}
}
