package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// exampleHub returns a hub with an activity that waits for a Decision.
func exampleHub(key string) (hub *async.Hub, id string, err error) {
	hub, err = async.New(async.Options{Store: store.NewMemory(), Completer: new(asynctest.Completer)})
	if err != nil {
		return nil, "", err
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	worker := suite.NewTestActivityEnvironment()
	approve := func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, hub, async.StartOptions{Key: key}, func(_ context.Context, p async.Pending[Decision]) error {
			id = p.ID()
			return nil
		})
	}
	worker.RegisterActivity(approve)
	_, _ = worker.ExecuteActivity(approve) // it waits
	return hub, id, nil
}

func ExampleHandler() {
	hub, id, err := exampleHub("")
	if err != nil {
		fmt.Println(err)
		return
	}
	decision, err := answer.For[Decision](answer.TypeOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	key := []byte("32 random bytes from a secret st") // crypto/rand, in production
	answers, err := webhook.New(hub, webhook.Options{
		Types: []answer.Type{decision},
		Keys:  &webhook.Keys{Keys: map[string][]byte{"2026-11": key}, Active: "2026-11"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/answers/", http.StripPrefix("/answers", answers))
	server := httptest.NewServer(mux)
	defer server.Close()

	// The activity sends the link of its callback.
	link, err := answers.Link(server.URL+"/answers", webhook.Claims{
		ID: id, Allow: webhook.Look | webhook.Complete, Expires: time.Now().Add(7 * 24 * time.Hour), For: "ada@example.com",
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// The sender can use any language.
	for _, body := range []string{`{"aproved": true}`, `{"approved": true}`, `{"approved": false}`} {
		resp, err := http.Post(link+"/complete", "application/json", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		var said struct {
			Code, State string
			Delivered   bool
		}
		err = json.NewDecoder(resp.Body).Decode(&said)
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, said.Code, said.State, said.Delivered, err)
	}
	// Output:
	// 422 invalid  false <nil>
	// 200  closed true <nil>
	// 409 settled  false <nil>
}

func ExampleReceive() {
	hub, _, err := exampleHub("order-7")
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := webhook.Standard("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		fmt.Println(err)
		return
	}
	receive, err := webhook.Receive(func(ctx context.Context, m webhook.Message, body []byte) error {
		var event struct {
			Type  string
			Order string
		}
		if err := json.Unmarshal(body, &event); err != nil || event.Type != "order.approved" {
			return webhook.ErrIgnore
		}
		p, err := async.OpenKey[Decision](ctx, hub, event.Order, async.KeyOptions{Namespace: "default-test-namespace", Early: time.Hour})
		if err != nil {
			return err
		}
		return p.Complete(ctx, Decision{Approved: true})
	}, webhook.ReceiverOptions{Verifier: verifier})
	if err != nil {
		fmt.Println(err)
		return
	}

	const body = `{"type":"order.approved","order":"order-7"}`
	for _, signed := range []bool{false, true, true} { // the sender repeats the message
		r := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(body))
		if signed {
			r.Header = standardHeader("msg_1", time.Now(), body)
		}
		w := httptest.NewRecorder()
		receive.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 401
	// 204
	// 204
}

func ExampleStatus() {
	fmt.Println(webhook.Status(fmt.Errorf("complete: %w", async.ErrSettled)))
	fmt.Println(webhook.Status(context.DeadlineExceeded))
	// Output:
	// 409 settled
	// 503 unavailable
}
