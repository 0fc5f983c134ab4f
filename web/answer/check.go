package answer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
)

const (
	maxProblems = 16  // per body
	maxRefs     = 128 // number of references that lead to each other
)

// schema is a JSON Schema with its checks. If the application has given the
// schema, the library decides whether a body matches. The checker finds the
// places of problems, which the library does not report, and checks formats. An
// inferred schema has few keywords, and checker knows all of them.
type schema struct {
	raw      json.RawMessage
	root     *jsonschema.Schema
	resolved *jsonschema.Resolved
	inferred bool
	formats  bool // the schema has formats or encodings, which the library does not check
}

func newSchema(s *jsonschema.Schema) (schema, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return schema{}, err
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return schema{}, err
	}
	// Properties with these names match too, which costs only time.
	formats := bytes.Contains(raw, []byte(`"format"`)) || bytes.Contains(raw, []byte(`"contentEncoding"`))
	return schema{raw: raw, root: s, resolved: resolved, formats: formats}, nil
}

// check returns the problems of a parsed body.
func (s schema) check(v any) error {
	valid := s.inferred || s.resolved.Validate(v) == nil
	if valid && !s.inferred && !s.formats {
		return nil
	}
	c := checker{root: s.root}
	c.value(s.root, v, nil, 0)
	if len(c.problems) == 0 && !valid {
		return whole("does not match the schema of the type")
	}
	return join(c.problems)
}

// checker compares a body with a schema and records the differences.
type checker struct {
	root     *jsonschema.Schema
	problems []*Invalid
}

func (c *checker) note(at *path, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, &Invalid{Pointer: at.pointer(), Detail: fmt.Sprintf(format, args...)})
	}
}

func (c *checker) value(s *jsonschema.Schema, v any, at *path, refs int) {
	if s == nil || refs > maxRefs || len(c.problems) == maxProblems {
		return
	}
	if s.Ref != "" {
		c.value(c.find(s.Ref), v, at, refs+1)
	}
	for _, all := range s.AllOf {
		c.value(all, v, at, refs+1)
	}
	if want := typesOf(s); len(want) > 0 && !slices.ContainsFunc(want, func(t string) bool { return isType(t, v) }) {
		c.note(at, "must be %s", alternatives(want))
		return
	}
	if s.Enum != nil && !matches(&jsonschema.Schema{Enum: s.Enum}, v) {
		c.note(at, "must be %s", alternatives(literals(s.Enum)))
	}
	if s.Const != nil && !matches(&jsonschema.Schema{Const: s.Const}, v) {
		c.note(at, "must be %s", literals([]any{*s.Const})[0])
	}
	switch v := v.(type) {
	case map[string]any:
		c.object(s, v, at)
	case []any:
		c.array(s, v, at)
	case string:
		c.text(s, v, at)
	case int64, uint64, float64:
		c.number(s, v, at)
	}
}

// find follows a reference within the schema.
func (c *checker) find(ref string) *jsonschema.Schema {
	if ref == "#" {
		return c.root
	}
	if name, ok := strings.CutPrefix(ref, "#/$defs/"); ok {
		return c.root.Defs[name]
	}
	name, _ := strings.CutPrefix(ref, "#/definitions/")
	return c.root.Definitions[name]
}

func (c *checker) object(s *jsonschema.Schema, v map[string]any, at *path) {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			c.note(&path{up: at, name: name}, "is required")
		}
	}
	if s.MinProperties != nil && len(v) < *s.MinProperties {
		c.note(at, "must have at least %d names", *s.MinProperties)
	}
	if s.MaxProperties != nil && len(v) > *s.MaxProperties {
		c.note(at, "must have at most %d names", *s.MaxProperties)
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		member := &path{up: at, name: name}
		property, known := s.Properties[name]
		switch {
		case known:
			c.value(property, v[name], member, 0)
		case len(s.PatternProperties) > 0 || s.AdditionalProperties == nil:
		case isFalse(s.AdditionalProperties):
			c.unknown(slices.Sorted(maps.Keys(s.Properties)), name, member)
		default:
			c.value(s.AdditionalProperties, v[name], member, 0)
		}
	}
}

// unknown records a name that is not allowed.
func (c *checker) unknown(allowed []string, name string, at *path) {
	for _, a := range allowed {
		if strings.EqualFold(a, name) {
			c.note(at, "is unknown: the name is %q, and case counts", a)
			return
		}
	}
	if len(allowed) == 0 || len(allowed) > 20 {
		c.note(at, "is unknown")
		return
	}
	c.note(at, "is unknown; the known names are %s", strings.Join(allowed, ", "))
}

func (c *checker) array(s *jsonschema.Schema, v []any, at *path) {
	if s.MinItems != nil && len(v) < *s.MinItems {
		c.note(at, "must have at least %d items", *s.MinItems)
	}
	if s.MaxItems != nil && len(v) > *s.MaxItems {
		c.note(at, "must have at most %d items", *s.MaxItems)
	}
	for i, item := range v {
		here := &path{up: at, index: i, item: true}
		if i < len(s.PrefixItems) {
			c.value(s.PrefixItems[i], item, here, 0)
		} else if s.Items != nil {
			c.value(s.Items, item, here, 0)
		}
	}
}

func (c *checker) text(s *jsonschema.Schema, v string, at *path) {
	n := utf8.RuneCountInString(v)
	if s.MinLength != nil && n < *s.MinLength {
		c.note(at, "must have at least %d characters", *s.MinLength)
	}
	if s.MaxLength != nil && n > *s.MaxLength {
		c.note(at, "must have at most %d characters", *s.MaxLength)
	}
	if s.Pattern != "" && !matches(&jsonschema.Schema{Pattern: s.Pattern}, v) {
		c.note(at, "must match the pattern %s", s.Pattern)
	}
	// The next two keywords are only annotations for the library.
	if s.Format == "date-time" {
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			c.note(at, "must be a date and time with its zone, such as 2026-11-30T09:30:00Z")
		}
	}
	if s.ContentEncoding == "base64" {
		if _, err := base64.StdEncoding.DecodeString(v); err != nil {
			c.note(at, "must be base64 with padding")
		}
	}
}

func (c *checker) number(s *jsonschema.Schema, v any, at *path) {
	var n float64
	switch v := v.(type) {
	case int64:
		n = float64(v)
	case uint64:
		n = float64(v)
	case float64:
		n = v
	}
	if s.Minimum != nil && n < *s.Minimum {
		c.note(at, "must be at least %v", *s.Minimum)
	}
	if s.Maximum != nil && n > *s.Maximum {
		c.note(at, "must be at most %v", *s.Maximum)
	}
	if s.ExclusiveMinimum != nil && n <= *s.ExclusiveMinimum {
		c.note(at, "must be over %v", *s.ExclusiveMinimum)
	}
	if s.ExclusiveMaximum != nil && n >= *s.ExclusiveMaximum {
		c.note(at, "must be below %v", *s.ExclusiveMaximum)
	}
	if s.MultipleOf != nil && !matches(&jsonschema.Schema{MultipleOf: s.MultipleOf}, v) {
		c.note(at, "must be a multiple of %v", *s.MultipleOf)
	}
}

// matches asks the library about one keyword, so that only the library decides.
func matches(only *jsonschema.Schema, v any) bool {
	resolved, err := only.Resolve(nil)
	return err == nil && resolved.Validate(v) == nil
}

func typesOf(s *jsonschema.Schema) []string {
	if s.Type != "" {
		return []string{s.Type}
	}
	return s.Types
}

func isType(want string, v any) bool {
	switch v := v.(type) {
	case nil:
		return want == "null"
	case bool:
		return want == "boolean"
	case string:
		return want == "string"
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	case float64:
		return want == "number" || want == "integer" && v == math.Trunc(v)
	default: // int64, uint64
		return want == "number" || want == "integer"
	}
}

// isFalse reports whether s refuses everything. The schema false is {"not":
// {}}.
func isFalse(s *jsonschema.Schema) bool {
	return s.Not != nil && reflect.DeepEqual(s.Not, new(jsonschema.Schema))
}

func literals(values []any) []string {
	list := make([]string, len(values))
	for i, v := range values {
		b, _ := json.Marshal(v) // it was JSON
		list[i] = string(b)
	}
	return list
}

func alternatives(list []string) string {
	if len(list) > 1 {
		return "one of " + strings.Join(list, ", ")
	}
	return strings.Join(list, "")
}
