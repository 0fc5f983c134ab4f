package senders

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/board"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// TestOpenAPIDocuments checks the documents that the handlers serve against the
// schema of OpenAPI 3.1.
func TestOpenAPIDocuments(t *testing.T) {
	hub, err := async.New(async.Options{Store: store.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := answer.For[Decision](answer.TypeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	types := []answer.Type{decisions}
	answers, err := webhook.New(hub, webhook.Options{Types: types})
	if err != nil {
		t.Fatal(err)
	}
	operators, err := board.New(hub, board.Options{
		Types:     types,
		Authorize: func(context.Context, *http.Request, board.Action, async.Callback) (string, error) { return "ada", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	wrong := json.RawMessage(`{"openapi":"3.1.0","info":{"title":"no version"},"paths":{}}`)
	for name, c := range map[string]struct {
		document json.RawMessage
		valid    bool
	}{
		"webhook":          {document: answers.OpenAPI(), valid: true},
		"board":            {document: operators.OpenAPI(), valid: true},
		"a wrong document": {document: wrong, valid: false},
	} {
		t.Run(name, func(t *testing.T) {
			document, err := libopenapi.NewDocument(c.document)
			if err != nil {
				t.Fatal(err)
			}
			check, errs := validator.NewValidator(document)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			valid, reasons := check.ValidateDocument()
			if valid != c.valid {
				t.Errorf("valid is %v, want %v", valid, c.valid)
			}
			for _, r := range reasons {
				if c.valid {
					t.Errorf("%s: %s", r.Message, r.Reason)
					for _, s := range r.SchemaValidationErrors {
						t.Errorf("  %s: %s", s.Location, s.Reason)
					}
				}
			}
		})
	}
}
