package answer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

const (
	maxDepth  = 64
	maxNumber = 256 // maximum length of a number, in characters
)

// Strict checks that body is one JSON value that every reader understands
// alike. Strict returns an [*Invalid] if body is not JSON, has text after the
// value, has a name twice in one object, or is nested deeper than 64. Strict
// also returns one for invalid UTF-8 (including escaped surrogates without a
// partner), and for a number that is outside the range of a float64 or longer
// than 256 characters.
func Strict(body []byte) error {
	_, err := parse(body)
	return err
}

// document is a parsed body: maps, slices, strings, booleans, nil, and numbers
// as int64, uint64 or float64.
type document struct {
	root any
	long bool // the document has a number that a float64 may not represent exactly
}

func parse(body []byte) (document, error) {
	if len(body) == 0 {
		return document{}, whole("is empty")
	}
	if !utf8.Valid(body) {
		return document{}, whole("is not valid UTF-8")
	}
	if !json.Valid(body) {
		detail := "is not one JSON value"
		var ignored json.RawMessage
		if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, &ignored)); ok {
			detail = fmt.Sprintf("is not one JSON value: the problem is at byte %d", syntax.Offset)
		}
		return document{}, whole(detail)
	}
	p := parser{body: body}
	v, err := p.value(nil, 0)
	if err != nil {
		return document{}, err
	}
	return document{root: v, long: p.long}, nil
}

// parser walks over JSON that json.Valid has accepted.
type parser struct {
	body []byte
	at   int
	long bool
}

// next skips white space and returns the following byte.
func (p *parser) next() byte {
	for {
		switch c := p.body[p.at]; c {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return c
		}
	}
}

func (p *parser) value(at *path, depth int) (any, error) {
	switch c := p.next(); c {
	case '{':
		if depth == maxDepth {
			return nil, tooDeep()
		}
		return p.object(at, depth+1)
	case '[':
		if depth == maxDepth {
			return nil, tooDeep()
		}
		return p.array(at, depth+1)
	case '"':
		return p.text(at)
	case 't':
		p.at += len("true")
		return true, nil
	case 'f':
		p.at += len("false")
		return false, nil
	case 'n':
		p.at += len("null")
		return nil, nil
	default:
		return p.number(at)
	}
}

// tooDeep returns the problem of a body that is nested too deeply. The problem
// has no pointer, because the pointer would be as deep.
func tooDeep() *Invalid { return whole(fmt.Sprintf("is nested deeper than %d", maxDepth)) }

func (p *parser) object(at *path, depth int) (any, error) {
	members := make(map[string]any)
	p.at++ // {
	for p.next() != '}' {
		name, err := p.text(at)
		if err != nil {
			return nil, err
		}
		member := &path{up: at, name: name}
		if _, twice := members[name]; twice {
			return nil, &Invalid{Pointer: member.pointer(), Detail: "has a name that appears twice in its object"}
		}
		p.next()
		p.at++ // :
		if members[name], err = p.value(member, depth); err != nil {
			return nil, err
		}
		if p.next() == ',' {
			p.at++
		}
	}
	p.at++
	return members, nil
}

func (p *parser) array(at *path, depth int) (any, error) {
	items := []any{}
	p.at++ // [
	for p.next() != ']' {
		v, err := p.value(&path{up: at, index: len(items), item: true}, depth)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
		if p.next() == ',' {
			p.at++
		}
	}
	p.at++
	return items, nil
}

// text reads a string. The next byte is the opening quote of the string.
func (p *parser) text(at *path) (string, error) {
	p.next()
	from := p.at
	escaped := false
	for p.at++; p.body[p.at] != '"'; p.at++ {
		if p.body[p.at] == '\\' {
			escaped = true
			p.at++
		}
	}
	p.at++
	raw := p.body[from:p.at]
	if !escaped {
		return string(raw[1 : len(raw)-1]), nil
	}
	if loneSurrogate(raw) {
		return "", &Invalid{Pointer: at.pointer(), Detail: "has an escaped surrogate without its partner, which is no character"}
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", &Invalid{Pointer: at.pointer(), Detail: "has a string that can't be read"}
	}
	return s, nil
}

// loneSurrogate finds an escape \uD800 to \uDFFF without its partner. Go would
// read such an escape as U+FFFD.
func loneSurrogate(raw []byte) bool {
	unit := func(i int) (uint64, bool) { // the value of \uXXXX at i
		if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
		return n, err == nil
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		high, ok := unit(i)
		if !ok {
			i++
			continue
		}
		i += 5
		if high < 0xD800 || high > 0xDFFF {
			continue
		}
		low, ok := unit(i + 1)
		if high >= 0xDC00 || !ok || low < 0xDC00 || low > 0xDFFF {
			return true
		}
		i += 6
	}
	return false
}

func (p *parser) number(at *path) (any, error) {
	from := p.at
	integer := true
	for ; p.at < len(p.body); p.at++ {
		c := p.body[p.at]
		if c == '.' || c == 'e' || c == 'E' {
			integer = false
		} else if (c < '0' || c > '9') && c != '-' && c != '+' {
			break
		}
	}
	literal := string(p.body[from:p.at])
	if len(literal) > maxNumber {
		return nil, &Invalid{Pointer: at.pointer(), Detail: fmt.Sprintf("has a number of more than %d characters", maxNumber)}
	}
	p.long = p.long || len(literal) > 15
	if integer {
		if n, err := strconv.ParseInt(literal, 10, 64); err == nil {
			return n, nil
		}
		if n, err := strconv.ParseUint(literal, 10, 64); err == nil {
			return n, nil
		}
	}
	n, err := strconv.ParseFloat(literal, 64)
	if err != nil || math.IsInf(n, 0) {
		return nil, &Invalid{Pointer: at.pointer(), Detail: "has a number outside the range of a float64"}
	}
	return n, nil
}
