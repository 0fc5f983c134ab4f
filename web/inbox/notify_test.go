package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
)

// TestOnPost: each addressee gets a message. A message is sent again only if it
// failed.
func TestOnPost(t *testing.T) {
	var to []string
	var links []string
	fails := "bob"
	r := newRig(t, func(o *inbox.Options) {
		o.Base = "https://example.com/inbox"
		o.OnPost = func(_ context.Context, who string, req inbox.Request, link string) error {
			if req.Title != "Dinner" {
				t.Errorf("the request is %v", req)
			}
			if who == fails {
				return errors.New("the mail server is away")
			}
			to, links = append(to, who), append(links, link)
			return nil
		}
	})
	request := inbox.Request{Title: "Dinner", For: []string{"ada", "bob", "finance"}}
	o := async.StartOptions{Key: "order-7"}
	p, err := postOn[Decision](r.hub, r.box, o, request, func(string) {})
	if err == activity.ErrResultPending || err == nil || !strings.Contains(err.Error(), "the mail server is away") {
		t.Fatalf("the activity returned %v, want the mail server's error, so that Temporal retries", err)
	}
	fails = ""
	c := r.callback(p) // the next attempt's
	if _, err := r.box.Post(t.Context(), c, request); err != nil {
		t.Fatal(err)
	}
	if _, err := r.box.Post(t.Context(), c, request); err != nil {
		t.Fatal(err)
	}
	if want := "ada bob finance"; strings.Join(to, " ") != want {
		t.Errorf("messages went to %v, want %s", to, want)
	}
	if want := "https://example.com/inbox/" + p.path; links[2] != want {
		t.Errorf("the group's message has the link %s, want the page that asks for a sign-in", links[2])
	}
	w := r.send("POST", strings.TrimPrefix(links[1], "https://example.com/inbox"), "", "approved=true&_name=Bob", "Content-Type", asForm)
	if w.Code != 303 {
		t.Errorf("the link of the message: %d %s", w.Code, w.Body)
	}
	if body := r.send("GET", "/"+p.path, "ada", "").Body.String(); strings.Contains(body, "inbox.sent") {
		t.Error("the page shows the messages")
	}
}

// TestOnPostDelegation: the target of a delegation gets a message, and a failed
// message does not undo the delegation.
func TestOnPostDelegation(t *testing.T) {
	var to []string
	r := newRig(t, func(o *inbox.Options) {
		o.Links, o.Base = nil, "https://example.com/inbox/"
		o.OnPost = func(_ context.Context, who string, _ inbox.Request, link string) error {
			if !strings.HasPrefix(link, "https://example.com/inbox/i/") {
				t.Errorf("the link is %s", link)
			}
			if to = append(to, who); who == "cyd" {
				return errors.New("the mail server is away")
			}
			return nil
		}
	})
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"ada"}})
	r.decide(p, "ada", url.Values{"_do": {"delegate"}, "_to": {"cyd"}})
	r.decide(p, "cyd", url.Values{"_do": {"delegate"}, "_to": {"bob"}})
	r.decide(p, "bob", yes())
	if want := "ada cyd bob"; strings.Join(to, " ") != want {
		t.Errorf("messages went to %v, want %s", to, want)
	}
	if !strings.Contains(r.log.String(), "the message about a delegation was not sent") {
		t.Error("nothing says that a message wasn't sent")
	}
}

// TestManyVoters: 1,000 people vote at once through two hubs. Exactly two of
// the voters decide, and the journal and the result name the same two.
func TestManyVoters(t *testing.T) {
	const voters = 1000
	r := newRig(t)
	second, err := async.New(async.Options{Store: r.store, Completer: r.temporal})
	if err != nil {
		t.Fatal(err)
	}
	typ := mustFor[Decision](t)
	other, err := inbox.New(second, inbox.Options{Types: []answer.Type{typ}, Links: r.keys})
	if err != nil {
		t.Fatal(err)
	}
	p := r.post(inbox.Request{Title: "Dinner", For: []string{"board"}, Needs: 2})
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := make(map[string]int)
	for n := range voters {
		wg.Go(func() {
			who := inbox.Person{ID: fmt.Sprint("p", n), Groups: []string{"board"}}
			box := []*inbox.Inbox{r.box, other}[n%2]
			err := box.Decide(t.Context(), p.path, who, yes())
			for range n % 3 { // some people repeat their vote, as after a lost reply
				err = errors.Join(err, box.Decide(t.Context(), p.path, who, yes()))
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				got["ok"]++
			case errors.Is(err, async.ErrSettled):
				got["settled"]++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got["ok"] != 2 || got["settled"] != voters-2 {
		t.Errorf("the votes got %v, want 2 that count", got)
	}
	d := r.result()
	var inResult, inJournal []string
	for _, v := range d.Decided {
		if inResult = append(inResult, v.By.ID); !v.Agrees || v.At.IsZero() {
			t.Errorf("the result has the vote %+v", v)
		}
	}
	for _, n := range r.callback(p).Notes() {
		if n.Kind == "inbox.vote" {
			inJournal = append(inJournal, n.By)
		}
	}
	if len(inResult) != 2 || !slices.Equal(inResult, inJournal) {
		t.Errorf("the result names %v, and the journal %v, want the same two", inResult, inJournal)
	}
}

// Pointer is a type for an activity whose result is a *Pointer.
type Pointer struct {
	OK bool   `json:"ok"`
	By string `json:"by,omitempty"`
}

func (p *Pointer) SetDecided(by []inbox.Vote) { p.By = by[0].By.ID }

// TestTypes: results can be pointers and values that are not objects.
func TestTypes(t *testing.T) {
	r := newRig(t, func(o *inbox.Options) {
		o.Types = []answer.Type{mustFor[*Pointer](t), mustFor[bool](t), mustFor[[]string](t), mustFor[map[string]int](t)}
	})
	ada := people["ada"]
	request := inbox.Request{Title: "Dinner", For: []string{"finance"}}
	for _, c := range []struct {
		post func() (posted, error)
		form url.Values
		want string
		page string
	}{
		{func() (posted, error) {
			return postOn[*Pointer](r.hub, r.box, async.StartOptions{}, request, func(string) {})
		}, url.Values{"ok": {"true"}}, `{"ok":true,"by":"ada"}`, `name="ok"`},
		{func() (posted, error) {
			return postOn[bool](r.hub, r.box, async.StartOptions{}, request, func(string) {})
		}, url.Values{"value": {"false"}}, `false`, `name="value" value="false"`},
		{func() (posted, error) {
			return postOn[[]string](r.hub, r.box, async.StartOptions{}, request, func(string) {})
		}, url.Values{"value": {"a\nb"}}, `["a","b"]`, `<textarea id="f0" name="value"`},
		{func() (posted, error) {
			return postOn[map[string]int](r.hub, r.box, async.StartOptions{}, request, func(string) {})
		}, url.Values{"value": {`{"a": 1}`}}, `{"a":1}`, "<summary>Schema</summary>"},
	} {
		p, err := c.post()
		if err != activity.ErrResultPending {
			t.Fatal(err)
		}
		if body := r.send("GET", "/"+p.path, "ada", "").Body.String(); !strings.Contains(body, c.page) {
			t.Errorf("the page lacks %q:\n%s", c.page, body)
		}
		if err := r.box.Decide(t.Context(), p.path, ada, url.Values{}); len(answer.Invalids(err)) != 1 {
			t.Errorf("an empty form: %v, want one problem", err)
		}
		if err := r.box.Decide(t.Context(), p.path, ada, c.form); err != nil {
			t.Fatal(err, answer.Invalids(err))
		}
		calls := r.temporal.Completed()
		if got := string(calls[len(calls)-1].Outcome.Result.Payloads[0].Data); got != c.want {
			t.Errorf("the result is %s, want %s", got, c.want)
		}
	}
}

// TestChoices: a schema with enum is a list of choices, and their values are
// exact.
func TestChoices(t *testing.T) {
	typ, err := answer.For[Level](answer.TypeOptions{Schema: json.RawMessage(`{"type":"object","required":["level"],"additionalProperties":false,
		"properties":{"level":{"enum":["low","high",7],"title":"How much"},"rate":{"type":"number"}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *inbox.Options) { o.Types = []answer.Type{typ} })
	p, err := postOn[Level](r.hub, r.box, async.StartOptions{}, inbox.Request{Title: "Dinner", For: []string{"finance"}}, func(string) {})
	if err != activity.ErrResultPending {
		t.Fatal(err)
	}
	body := r.send("GET", "/"+p.path, "ada", "").Body.String()
	if !strings.Contains(body, `<option value=""></option>`) || !strings.Contains(body, "How much") || !strings.Contains(body, `<option value="&#34;high&#34;">high</option>`) {
		t.Errorf("the page is:\n%s", body)
	}
	for form, ok := range map[string]bool{"level=high": false, "level=8": false, "level=": false, `level=7&rate=1,5`: false, `level=7&rate=NaN`: false, `level="high"&rate=1.50`: true} {
		values, err := url.ParseQuery(form)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.box.Decide(t.Context(), p.path, people["ada"], values); (err == nil) != ok {
			t.Errorf("%s: %v", form, err)
		}
	}
}

type Level struct {
	Level any         `json:"level"`
	Rate  json.Number `json:"rate,omitempty"`
}
