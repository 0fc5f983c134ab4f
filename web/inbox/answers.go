package inbox

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
)

// show returns an answer as names and values for people.
func (f *form) show(body json.RawMessage) (facts []Fact) {
	members := f.members(body)
	for _, field := range f.fields {
		if literal, ok := members[field.Name]; ok {
			facts = append(facts, Fact{field.Label, field.text(literal)})
		}
	}
	return facts
}

// values returns an answer as the values of a submitted form.
func (f *form) values(body json.RawMessage) url.Values {
	sent := make(url.Values)
	members := f.members(body)
	for _, field := range f.fields {
		literal, ok := members[field.Name]
		switch {
		case !ok:
		case field.Kind == isBool || field.Kind == isChoice:
			sent.Set(field.Name, string(literal))
		default:
			sent.Set(field.Name, field.text(literal))
		}
	}
	return sent
}

func (f *form) members(body json.RawMessage) (members map[string]json.RawMessage) {
	if f.whole {
		return map[string]json.RawMessage{wholeName: body}
	}
	_ = json.Unmarshal(body, &members) // the answer was decoded before
	return members
}

// text returns a value as text for people.
func (f field) text(literal json.RawMessage) string {
	switch f.Kind {
	case isBool, isChoice:
		for _, c := range f.Choices {
			if c.Value == string(literal) {
				return c.Label
			}
		}
	case isLines:
		var lines []string
		if json.Unmarshal(literal, &lines) == nil {
			return strings.Join(lines, "\n")
		}
	case isText, isLine, isTime:
		var s string
		if json.Unmarshal(literal, &s) == nil {
			return s
		}
	case isJSON:
		var b bytes.Buffer
		if json.Indent(&b, literal, "", "  ") == nil {
			return b.String()
		}
	}
	return string(literal)
}
