package answer_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/web/answer"
)

// A schema of the application may be stricter than the Go type. Names with
// another case and names that the Go type does not have are always refused.
func TestSchemaOverride(t *testing.T) {
	typ := mustFor[tree](t, answer.TypeOptions{Schema: json.RawMessage(`{
		"$ref": "#/$defs/node",
		"$defs": {"node": {"type": "object", "required": ["name"], "properties": {
			"name": {"type": "string", "enum": ["oak", "elm"]},
			"age": {"type": "integer", "minimum": 1, "multipleOf": 5},
			"tag": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 3},
			"below": {"type": "array", "maxItems": 2, "items": {"$ref": "#/$defs/node"}}}}}}`)})
	for body, want := range map[string]string{
		`{"name":"oak"}`: "",
		`{"name":"oak","below":[{"name":"elm","age":5,"tag":"ab"}]}`: "",
		`{"name":"oak","below":[{"name":"elm"},{"name":"fir"}]}`:     `/below/1/name must be one of "oak", "elm"`,
		`{"name":"oak","below":[{}]}`:                                "/below/0/name is required",
		`{"name":"oak","age":7}`:                                     "/age must be a multiple of 5",
		`{"name":"oak","age":0}`:                                     "/age must be at least 1",
		`{"name":"oak","tag":"A"}`:                                   "/tag must have at least 2 characters\n/tag must match the pattern ^[a-z]+$",
		`{"name":"oak","below":[{"name":"oak","Age":5}]}`:            "/below/0/Age is unknown: the name is age, and case counts",
		`{"name":"oak","extra":1}`:                                   "has a value or a name that the type doesn't take",
	} {
		if _, got := decode(typ, "application/json", body); strings.Join(got, "\n") != want {
			t.Errorf("%s:\n%q, want\n%q", body, got, want)
		}
	}
	logic := mustFor[v2](t, answer.TypeOptions{Schema: json.RawMessage(`{"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}`)})
	if _, got := decode(logic, "application/json", "{}"); strings.Join(got, "") != "does not match the schema of the type" {
		t.Errorf("a keyword without a place: %v", got)
	}
}

type tree struct {
	Name  string  `json:"name"`
	Age   int     `json:"age"`
	Tag   string  `json:"tag"`
	Below []*tree `json:"below"`
}

type own struct{}

func (*own) UnmarshalJSON([]byte) error { return nil }
