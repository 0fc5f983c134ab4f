package inbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/latchkey-go/latchkey/web/answer"
)

// Kinds of fields.
const (
	isBool    = "bool"
	isChoice  = "choice"
	isInteger = "integer"
	isNumber  = "number"
	isTime    = "time"
	isLine    = "line"
	isText    = "text"
	isLines   = "lines"
	isJSON    = "json"
)

// field is a field of a form.
type field struct {
	Name     string // of the property
	ID       string // in the page
	Label    string
	Help     string
	Kind     string
	Required bool
	Choices  []choice
	Schema   string // shown with a field of JSON
	MaxRunes int
}

// choice is one possible value of a field. Value is JSON.
type choice struct{ Value, Label string }

// form is the form of a result type.
type form struct {
	typ    answer.Type
	fields []field
	whole  bool            // the type is not an object: the answer is the only field
	byType map[string]bool // the names of the fields that SetDecided sets
}

// wholeName is the name of the only field of a type that is not an object.
const wholeName = "value"

// newForm creates the form of a type from its schema.
func newForm(t answer.Type) (*form, error) {
	s := new(jsonschema.Schema)
	if err := json.Unmarshal(t.Schema(), s); err != nil {
		return nil, fmt.Errorf("inbox: the schema of %s: %w", t.Name(), err)
	}
	f := &form{typ: t, byType: setByType(t.GoType())}
	if s.Type != "object" || len(s.Properties) == 0 {
		only := fieldOf(wholeName, s, t.Schema())
		only.ID, only.Required, only.Label = "f0", true, "Answer"
		f.whole, f.fields = true, []field{only}
		return f, nil
	}
	raw, order := properties(t.Schema())
	for _, name := range order {
		if f.byType[name] {
			if slices.Contains(s.Required, name) {
				return nil, fmt.Errorf("inbox: %s: SetDecided sets %q, so its JSON tag must have omitempty", t.Name(), name)
			}
			continue
		}
		if strings.HasPrefix(name, "_") {
			return nil, fmt.Errorf("inbox: %s: a form can't have the property %q: names with _ are the inbox's own", t.Name(), name)
		}
		field := fieldOf(name, s.Properties[name], raw[name])
		field.ID, field.Required = fmt.Sprintf("f%d", len(f.fields)), slices.Contains(s.Required, name)
		f.fields = append(f.fields, field)
	}
	return f, nil
}

// properties returns the schemas of an object's properties in their order, and
// their names.
func properties(schema json.RawMessage) (raw map[string]json.RawMessage, order []string) {
	var s struct {
		Properties json.RawMessage `json:"properties"`
	}
	_ = json.Unmarshal(schema, &s)         // the input is a valid schema
	_ = json.Unmarshal(s.Properties, &raw) // the values are therefore objects
	d := json.NewDecoder(bytes.NewReader(s.Properties))
	_, _ = d.Token() // {
	for d.More() {
		name, err := d.Token()
		var skipped json.RawMessage
		if err != nil || d.Decode(&skipped) != nil {
			break
		}
		order = append(order, name.(string))
	}
	return raw, order
}

func fieldOf(name string, s *jsonschema.Schema, raw json.RawMessage) field {
	f := field{Name: name, Label: s.Title, Help: sentence(s.Description), Kind: isJSON}
	if f.Label == "" {
		f.Label = words(name)
	}
	typ := s.Type
	if i := slices.Index(s.Types, "null"); typ == "" && i >= 0 && len(s.Types) == 2 {
		typ = s.Types[1-i]
	}
	if s.MaxLength != nil {
		f.MaxRunes = *s.MaxLength
	}
	switch {
	case len(s.Enum) > 0:
		f.Kind = isChoice
		for _, v := range s.Enum {
			literal, err := json.Marshal(v)
			if err != nil {
				continue
			}
			label := string(literal)
			if text, ok := v.(string); ok {
				label = text
			}
			f.Choices = append(f.Choices, choice{string(literal), label})
		}
	case typ == "boolean":
		f.Kind, f.Choices = isBool, []choice{{"true", "Yes"}, {"false", "No"}}
	case typ == "integer":
		f.Kind = isInteger
	case typ == "number":
		f.Kind = isNumber
	case typ == "string" && s.Format == "date-time":
		f.Kind = isTime
	case typ == "string" && s.ContentEncoding == "" && s.MaxLength != nil && *s.MaxLength <= 120:
		f.Kind = isLine
	case typ == "string" && s.ContentEncoding == "":
		f.Kind = isText
	case typ == "array" && s.Items != nil && s.Items.Type == "string" && s.Items.Enum == nil && s.Items.ContentEncoding == "" && len(s.PrefixItems) == 0:
		f.Kind = isLines
	default:
		var b bytes.Buffer
		if json.Indent(&b, raw, "", "  ") == nil {
			f.Schema = b.String()
		}
	}
	return f
}

// sentence returns a description as a sentence.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + strings.TrimRight(text[size:], ". ") + "."
}

// words returns a label for a name: "costCentre" becomes "Cost centre".
func words(name string) string {
	var b strings.Builder
	before := rune(' ')
	for _, r := range name {
		switch {
		case b.Len() == 0:
			b.WriteString(strings.ToUpper(string(r)))
		case r == '_' || r == '-':
			b.WriteByte(' ')
		case r >= 'A' && r <= 'Z' && before >= 'a' && before <= 'z':
			b.WriteString(" " + strings.ToLower(string(r)))
		default:
			b.WriteRune(r)
		}
		before = r
	}
	return b.String()
}

var (
	integers = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,400})$`)
	numbers  = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,400})(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?$`)
)

// read returns the JSON of an answer for a submitted form. Names with an
// underscore are the inbox's own fields. The type's decoder then checks the
// JSON of the answer like any other JSON.
func (f *form) read(sent url.Values) (json.RawMessage, error) {
	var problems problems
	known := make(map[string]bool)
	members := make(map[string]json.RawMessage)
	for _, field := range f.fields {
		known[field.Name] = true
		values := sent[field.Name]
		if len(values) > 1 {
			problems.add(field.Name, "must be given once")
			continue
		}
		if len(values) == 0 {
			continue // the decoder reports missing fields
		}
		literal, problem := field.literal(values[0])
		if problem != "" {
			problems.add(field.Name, problem)
		} else if literal != nil {
			members[field.Name] = literal
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if !known[name] && !strings.HasPrefix(name, "_") {
			problems.add(name, "is unknown")
		}
	}
	if err := problems.err(); err != nil {
		return nil, err
	}
	if f.whole {
		if members[wholeName] == nil {
			problems.add("", "is required")
		}
		return members[wholeName], problems.err()
	}
	return json.Marshal(members) // with sorted names
}

// literal returns the JSON of a field's value, or nil if the field was left
// empty.
func (f field) literal(text string) (literal json.RawMessage, problem string) {
	if !utf8.ValidString(text) {
		return nil, "must be UTF-8"
	}
	trimmed := strings.TrimSpace(text)
	switch f.Kind {
	case isText, isLine:
		text = newlines(text)
		if text == "" && !f.Required {
			return nil, ""
		}
		return quoted(text), ""
	case isLines:
		var lines []string
		for line := range strings.SplitSeq(newlines(text), "\n") {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		if lines == nil && !f.Required {
			return nil, ""
		}
		b, _ := json.Marshal(append([]string{}, lines...)) // strings
		return b, ""
	}
	if trimmed == "" {
		return nil, ""
	}
	switch f.Kind {
	case isBool, isChoice:
		if !slices.ContainsFunc(f.Choices, func(c choice) bool { return c.Value == text }) {
			return nil, "must be one of the choices"
		}
		return json.RawMessage(text), ""
	case isInteger:
		if !integers.MatchString(trimmed) {
			return nil, "must be a whole number in digits, such as 1250"
		}
		return json.RawMessage(trimmed), ""
	case isNumber:
		if !numbers.MatchString(trimmed) {
			return nil, "must be a number with a full stop, such as 12.50"
		}
		return json.RawMessage(trimmed), ""
	case isTime:
		return quoted(trimmed), ""
	default:
		if answer.Strict([]byte(trimmed)) != nil {
			return nil, "must be JSON, with each name once"
		}
		return json.RawMessage(trimmed), ""
	}
}

func quoted(s string) json.RawMessage {
	b, _ := json.Marshal(s) // a string
	return b
}

// decode checks an answer with the type's decoder. decode returns the value,
// and the canonical JSON by which answers are compared.
func (f *form) decode(body json.RawMessage) (value any, same json.RawMessage, err error) {
	if value, err = f.typ.Decode("application/json", body); err != nil {
		return nil, nil, err
	}
	var members map[string]json.RawMessage
	_ = json.Unmarshal(body, &members) // a type that is not an object has none
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if f.byType[name] {
			return nil, nil, &answer.Invalid{Pointer: "/" + name, Detail: "is set by the inbox"}
		}
	}
	same, err = canonical(body)
	return value, same, err
}

// withVotes calls SetDecided on the value, if its type has the method.
func withVotes(value any, by []Vote) any {
	if d, ok := value.(Decided); ok {
		d.SetDecided(by)
		return value
	}
	p := reflect.New(reflect.TypeOf(value))
	p.Elem().Set(reflect.ValueOf(value))
	if d, ok := p.Interface().(Decided); ok {
		d.SetDecided(by)
	}
	return p.Elem().Interface()
}

// setByType returns the JSON names of the fields that SetDecided sets.
func setByType(t reflect.Type) map[string]bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	v := reflect.New(t)
	d, ok := v.Interface().(Decided)
	if !ok {
		return nil
	}
	before := membersOf(v.Interface())
	d.SetDecided([]Vote{{By: Person{ID: "ada@example.com", Name: "Ada", Groups: []string{"finance"}}, At: sample, Agrees: true, Comment: "comment"}})
	names := make(map[string]bool)
	for name, after := range membersOf(v.Interface()) {
		if string(before[name]) != string(after) {
			names[name] = true
		}
	}
	return names
}

func membersOf(v any) (members map[string]json.RawMessage) {
	b, err := json.Marshal(v)
	if err == nil {
		_ = json.Unmarshal(b, &members) // a value that is not an object has none
	}
	return members
}

// problems contains the problems of a form.
type problems []answer.Invalid

func (p *problems) add(name, detail string) {
	pointer := ""
	if name != "" {
		pointer = "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	*p = append(*p, answer.Invalid{Pointer: pointer, Detail: detail})
}

// err returns the problems in the order of the decoder.
func (p problems) err() error { return answer.Join(p) }
