package answer

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

const dialect = "https://json-schema.org/draft/2020-12/schema"

var (
	textReader = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonReader = reflect.TypeFor[json.Unmarshaler]()
)

// wellKnown returns the schemas of types whose JSON differs from their Go
// structure.
func wellKnown() map[reflect.Type]*jsonschema.Schema {
	return map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():       {Type: "string", Format: "date-time"},
		reflect.TypeFor[json.Number]():     {Type: "number"},
		reflect.TypeFor[json.RawMessage](): {},
		reflect.TypeFor[big.Int]():         {Type: "integer"},
	}
}

// infer returns the schema of a Go type, or an error with the reason why the
// type needs an explicit schema.
func infer(t reflect.Type) (*jsonschema.Schema, error) {
	schemas := wellKnown()
	if err := survey(t, schemas, nil); err != nil {
		return nil, err
	}
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: schemas})
	if err != nil {
		return nil, err
	}
	if i := slices.Index(s.Types, "null"); i >= 0 && len(s.Types) == 2 {
		s.Type, s.Types = s.Types[1-i], nil // null is not a valid answer
	}
	s.Schema = dialect
	return s, nil
}

// survey adds the schemas of types whose JSON is text. survey refuses types for
// which an inferred schema would be wrong.
func survey(t reflect.Type, schemas map[reflect.Type]*jsonschema.Schema, above []reflect.Type) error {
	if schemas[t] != nil {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		return survey(t.Elem(), schemas, above)
	}
	if t.Name() != "" {
		if slices.Contains(above, t) {
			return fmt.Errorf("%s contains itself", t)
		}
		above = append(above, t)
	}
	switch p := reflect.PointerTo(t); {
	case p.Implements(jsonReader):
		return fmt.Errorf("%s has its own UnmarshalJSON method", t)
	case p.Implements(textReader):
		schemas[t] = &jsonschema.Schema{Type: "string"}
		return nil
	}
	switch t.Kind() {
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			schemas[t] = &jsonschema.Schema{Types: []string{"null", "string"}, ContentEncoding: "base64"}
			return nil
		}
		return survey(t.Elem(), schemas, above)
	case reflect.Array:
		return survey(t.Elem(), schemas, above)
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return fmt.Errorf("%s has keys that are not strings", t)
		}
		return survey(t.Elem(), schemas, above)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("%s is an interface, which JSON can't be read into", t)
		}
		return nil
	case reflect.Struct:
		for f := range t.Fields() {
			if err := surveyField(f, schemas, above); err != nil {
				return fmt.Errorf("field %s of %s: %w", f.Name, t, err)
			}
		}
	}
	return nil
}

func surveyField(f reflect.StructField, schemas map[reflect.Type]*jsonschema.Schema, above []reflect.Type) error {
	tag := f.Tag.Get("json")
	name, options, _ := strings.Cut(tag, ",")
	switch {
	case tag == "-" || !f.IsExported() && !f.Anonymous:
		return nil
	case slices.Contains(strings.Split(options, ","), "string"):
		return errors.New(`its tag has "string"`)
	case f.Anonymous && name != "":
		return errors.New("it is embedded and has a name in its tag")
	case f.Anonymous && f.Type.Kind() != reflect.Struct:
		return errors.New("it is embedded and is not a struct")
	}
	return survey(f.Type, schemas, above)
}
