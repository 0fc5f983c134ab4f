package board_test

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// apiDocument is the part of an OpenAPI document that tests compare with
// responses.
type apiDocument struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		Responses map[string]struct {
			Content map[string]struct{ Schema json.RawMessage }
		}
	}
	Components struct{ Schemas map[string]json.RawMessage }

	resolved map[string]*jsonschema.Resolved
}

func readAPI(t *testing.T, doc json.RawMessage) *apiDocument {
	t.Helper()
	d := &apiDocument{resolved: make(map[string]*jsonschema.Resolved)}
	if err := json.Unmarshal(doc, d); err != nil {
		t.Fatal(err)
	}
	return d
}

var entryPath = regexp.MustCompile(`^/entries/[^/]*`)

// check compares a response with the document, for its path and status.
func (d *apiDocument) check(t *testing.T, method, path string, a response) {
	t.Helper()
	if method == "HEAD" {
		return
	}
	path, _, _ = strings.Cut(path, "?")
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	schema := json.RawMessage(`{"$ref":"#/components/schemas/Problem"}`)
	if p, known := d.Paths[entryPath.ReplaceAllString(path, "/entries/{id}")]; known && a.status != 405 {
		content, listed := p[strings.ToLower(method)].Responses[strconv.Itoa(a.status)].Content[media]
		if !listed {
			t.Errorf("%s %s: status %d with %q is not in the document", method, path, a.status, media)
			return
		}
		schema = content.Schema
	}
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Error(err)
		return
	}
	if err := d.resolve(t, schema).Validate(v); err != nil {
		t.Errorf("%s %s: the response is not what the document says: %v\n%s", method, path, err, a.body)
	}
}

// resolve returns a schema that may refer to the document's components.
func (d *apiDocument) resolve(t *testing.T, schema json.RawMessage) *jsonschema.Resolved {
	t.Helper()
	if r, ok := d.resolved[string(schema)]; ok {
		return r
	}
	defs, err := json.Marshal(d.Components.Schemas)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(`{"allOf":[`+string(schema)+`],"$defs":`+string(defs)+`}`, "#/components/schemas/", "#/$defs/")
	s := new(jsonschema.Schema)
	if err := json.Unmarshal([]byte(text), s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.resolved[string(schema)] = r
	return r
}

// The document has every address of the package's documentation, and describes
// the bodies.
func TestOpenAPI(t *testing.T) {
	r := newRig(t)
	if r.api.OpenAPI != "3.1.0" {
		t.Errorf("the version is %q, want 3.1.0", r.api.OpenAPI)
	}
	for path, method := range map[string]string{
		"/": "get", "/waiting": "get", "/settled": "get", "/ended": "get", "/all": "get", "/counts": "get", "/entries/{id}": "get", "/openapi.json": "get",
		"/entries/{id}/retry": "post", "/entries/{id}/abandon": "post", "/entries/{id}/complete": "post", "/entries/{id}/fail": "post", "/entries/{id}/reject": "post", "/bulk": "post",
	} {
		if _, ok := r.api.Paths[path][method]; !ok {
			t.Errorf("the document lacks %s %s", method, path)
		}
	}
	for body, ok := range map[string]bool{
		`{"why":"x"}`: true, `{}`: false, `{"why":"x","wy":"y"}`: false,
	} {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if err := r.api.resolve(t, json.RawMessage(`{"$ref":"#/components/schemas/Reason"}`)).Validate(v); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
	if doc := r.get("/openapi.json"); doc.status != 200 || doc.body != string(r.board.OpenAPI()) {
		t.Errorf("/openapi.json is not the document: %d", doc.status)
	}
}
