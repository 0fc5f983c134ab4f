package answer

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
)

// exactNames refuses names that differ from a field's name only in case.
// encoding/json would accept them for the field. Names that match no field are
// left to the decoder.
func exactNames(t reflect.Type, root any) error {
	var problems []*Invalid
	var walk func(t reflect.Type, v any, at *path)
	walk = func(t reflect.Type, v any, at *path) {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if p := reflect.PointerTo(t); p.Implements(jsonReader) || p.Implements(textReader) {
			return
		}
		switch v := v.(type) {
		case []any:
			if k := t.Kind(); k == reflect.Slice || k == reflect.Array {
				for i, item := range v {
					walk(t.Elem(), item, &path{up: at, index: i, item: true})
				}
			}
		case map[string]any:
			if t.Kind() == reflect.Map {
				for _, name := range slices.Sorted(maps.Keys(v)) {
					walk(t.Elem(), v[name], &path{up: at, name: name})
				}
			}
			if t.Kind() != reflect.Struct {
				return
			}
			names := fieldNames(t)
			for _, name := range slices.Sorted(maps.Keys(v)) {
				here := &path{up: at, name: name}
				if field, ok := names[name]; ok {
					walk(field, v[name], here)
					continue
				}
				for known := range names {
					if strings.EqualFold(known, name) && len(problems) < maxProblems {
						problems = append(problems, &Invalid{Pointer: here.pointer(), Detail: "is unknown: the name is " + known + ", and case counts"})
					}
				}
			}
		}
	}
	walk(t, root, nil)
	return join(problems)
}

// fieldNames returns the types of a struct's fields, keyed by their names in
// JSON.
func fieldNames(t reflect.Type) map[string]reflect.Type {
	names := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		if tag != "-" && f.IsExported() && (!f.Anonymous || name != f.Name) {
			names[name] = f.Type
		}
	}
	return names
}

// exactNumbers refuses a whole number that the Go type has rounded.
// exactNumbers encodes the value again and compares the two documents.
func exactNumbers(body []byte, v any) error {
	again, err := json.Marshal(v)
	if err != nil {
		return whole("can't be encoded again by the type")
	}
	var sent, kept any
	for raw, to := range map[*[]byte]*any{&body: &sent, &again: &kept} {
		dec := json.NewDecoder(bytes.NewReader(*raw))
		dec.UseNumber()
		if err := dec.Decode(to); err != nil {
			return whole("can't be read again")
		}
	}
	return join(rounded(sent, kept, nil, nil))
}

func rounded(sent, kept any, at *path, problems []*Invalid) []*Invalid {
	if len(problems) == maxProblems {
		return problems
	}
	switch s := sent.(type) {
	case map[string]any:
		if k, ok := kept.(map[string]any); ok {
			for _, name := range slices.Sorted(maps.Keys(s)) {
				if other, ok := k[name]; ok {
					problems = rounded(s[name], other, &path{up: at, name: name}, problems)
				}
			}
		}
	case []any:
		if k, ok := kept.([]any); ok && len(k) == len(s) {
			for i, item := range s {
				problems = rounded(item, k[i], &path{up: at, index: i, item: true}, problems)
			}
		}
	case json.Number:
		if k, ok := kept.(json.Number); ok && !strings.ContainsAny(string(s), ".eE") && !same(s, k) {
			problems = append(problems, &Invalid{Pointer: at.pointer(), Detail: "is a whole number that the type can't hold exactly"})
		}
	}
	return problems
}

func same(a, b json.Number) bool {
	x, ok := new(big.Rat).SetString(string(a))
	y, ok2 := new(big.Rat).SetString(string(b))
	return ok && ok2 && x.Cmp(y) == 0
}
