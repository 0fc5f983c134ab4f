package webhook_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// apiDocument is the part of an OpenAPI document that tests compare with
// responses.
type apiDocument struct {
	Paths map[string]map[string]json.RawMessage `json:"paths"`

	Components struct {
		Schemas   map[string]json.RawMessage `json:"schemas"`
		Responses map[string]apiResponse     `json:"responses"`
	} `json:"components"`
}

type apiResponse struct {
	Ref     string         `json:"$ref"`
	Headers map[string]any `json:"headers"`
	Content map[string]struct {
		Schema struct {
			Ref string `json:"$ref"`
		}
	} `json:"content"`
}

type apiOperation struct {
	Responses   map[string]apiResponse `json:"responses"`
	RequestBody *struct {
		Content map[string]struct{ Schema json.RawMessage } `json:"content"`
	} `json:"requestBody"`
}

func readAPI(t *testing.T, doc json.RawMessage) *apiDocument {
	t.Helper()
	d := new(apiDocument)
	if err := json.Unmarshal(doc, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// check compares a response with the document, for its path and status.
func (d *apiDocument) check(t *testing.T, q request, a response) {
	t.Helper()
	if q.method == http.MethodOptions || q.method == http.MethodHead {
		if q.method == http.MethodOptions && len(a.body) > 0 {
			t.Errorf("%s %s has a body", q.method, q.path)
		}
		return
	}
	parts := strings.SplitN(strings.TrimPrefix(q.path, "/"), "/", 2)
	parts[0] = "/{token}"
	path, known := d.Paths[strings.Join(parts, "/")]
	if !known {
		d.checkBody(t, d.Components.Responses["Problem"], q, a)
		return
	}
	method := "post" // the response to another method also occurs here
	if path["get"] != nil {
		method = "get"
	}
	var op apiOperation
	if err := json.Unmarshal(path[method], &op); err != nil {
		t.Fatal(err)
	}
	r, listed := op.Responses[strconv.Itoa(a.status)]
	if !listed {
		t.Errorf("%s %s: status %d is not in the document", q.method, q.path, a.status)
		return
	}
	r = d.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")]
	for name := range r.Headers {
		if a.header.Get(name) == "" {
			t.Errorf("%s %s: status %d without the header %s", q.method, q.path, a.status, name)
		}
	}
	d.checkBody(t, r, q, a)
}

func (d *apiDocument) checkBody(t *testing.T, r apiResponse, q request, a response) {
	t.Helper()
	content, ok := r.Content[a.header.Get("Content-Type")]
	if !ok {
		t.Errorf("%s %s: the document has no %q for status %d", q.method, q.path, a.header.Get("Content-Type"), a.status)
		return
	}
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Error(err)
		return
	}
	ref, err := json.Marshal(content.Schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.resolve(t, ref).Validate(v); err != nil {
		t.Errorf("%s %s: the response is not what the document says: %v\n%s", q.method, q.path, err, a.body)
	}
}

// resolve returns a schema that may refer to the document's components.
func (d *apiDocument) resolve(t *testing.T, schema json.RawMessage) *jsonschema.Resolved {
	t.Helper()
	defs, err := json.Marshal(d.Components.Schemas)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(`{"allOf":[`+string(schema)+`],"$defs":`+string(defs)+`}`, "#/components/schemas/", "#/$defs/")
	s := new(jsonschema.Schema)
	if err := json.Unmarshal([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

type Weird[T any] struct {
	Below *Weird[T] `json:"below,omitempty"`
}

// The document describes the bodies, including those with references and with
// names that OpenAPI does not allow.
func TestOpenAPI(t *testing.T) {
	weird, err := answer.For[Weird[map[string]int]](answer.TypeOptions{Schema: json.RawMessage(
		`{"$ref":"#/$defs/w","$defs":{"w":{"type":"object","additionalProperties":false,"properties":{"below":{"$ref":"#/$defs/w"}}}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *webhook.Options) { o.Types = append(o.Types, weird) })
	var op apiOperation
	if err := json.Unmarshal(r.api.Paths["/{token}/complete"]["post"], &op); err != nil {
		t.Fatal(err)
	}
	bodies := r.api.resolve(t, op.RequestBody.Content["application/json"].Schema)
	for body, ok := range map[string]bool{
		`{"approved":true}`:           true,
		`{}`:                          true, // None, and Weird
		`{"below":{"below":{}}}`:      true,
		`{"below":{"below":{"n":1}}}`: false,
		`{"aproved":true}`:            false,
	} {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if err := bodies.Validate(v); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
	for name := range r.api.Components.Schemas {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
			t.Errorf("the component %q has a name that OpenAPI doesn't allow", name)
		}
	}
	var version struct{ OpenAPI string }
	if err := json.Unmarshal(r.handler.OpenAPI(), &version); err != nil || version.OpenAPI != "3.1.0" {
		t.Errorf("the document's version is %q, %v", version.OpenAPI, err)
	}
}
