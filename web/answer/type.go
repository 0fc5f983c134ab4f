package answer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async"
)

// TypeOptions configures For. The zero value is valid.
type TypeOptions struct {
	// Schema is the JSON Schema of the type, in draft 2020-12 and without
	// references to other documents. The schema may be stricter than the Go
	// type, for example with enum or pattern. Names that the Go type does not
	// have are refused, whatever the schema says. Defaults to the schema that
	// For infers from the Go type.
	Schema json.RawMessage
}

// Type is a result type of activities, with its JSON Schema and a strict
// decoder. The methods of a Type may be called concurrently. The zero Type is
// not usable.
type Type struct {
	name     string
	schema   json.RawMessage
	decode   func(mediaType string, body []byte) (any, error)
	complete func(ctx context.Context, c async.Callback, value any) error
	decide   func(ctx context.Context, c async.Callback, n async.Note, f func(notes []async.Note) (any, bool, error)) (bool, error)
	goType   reflect.Type
}

// For returns the Type of T. For returns an error if T cannot be a result, or
// if T needs an explicit schema (see TypeOptions).
func For[T any](o TypeOptions) (Type, error) {
	name, err := async.ResultType[T]()
	if err != nil {
		return Type{}, fmt.Errorf("answer: %w", err)
	}
	d, err := newDecoder(reflect.TypeFor[T](), o.Schema)
	if err != nil {
		return Type{}, fmt.Errorf("answer: the type %s: %w", name, err)
	}
	return Type{
		name:   name,
		schema: d.schema.raw,
		decode: d.decode,
		complete: func(ctx context.Context, c async.Callback, value any) error {
			return async.Pending[T]{Callback: c}.Complete(ctx, value.(T))
		},
		decide: func(ctx context.Context, c async.Callback, n async.Note, f func([]async.Note) (any, bool, error)) (bool, error) {
			return async.Pending[T]{Callback: c}.Decide(ctx, n, func(notes []async.Note) (result T, done bool, err error) {
				value, done, err := f(notes)
				if done && err == nil {
					result = value.(T)
				}
				return result, done, err
			})
		},
		goType: reflect.TypeFor[T](),
	}, nil
}

// Name returns the name under which Latchkey stores the type: see
// async.ResultType.
func (t Type) Name() string { return t.name }

// Schema returns the JSON Schema of the type. The caller must not change the
// schema.
func (t Type) Schema() json.RawMessage { return t.schema }

// Decode returns the value in body. The value has the Go type that the Type was
// made from.
//
// Decode returns ErrMediaType for a media type other than application/json. For
// a protobuf message, application/x-protobuf is also accepted. Decode returns
// an error with one or more [Invalid] values (see Invalids) for a body that the
// type refuses. A value that fails its own Validate method is such a body.
func (t Type) Decode(mediaType string, body []byte) (any, error) {
	if t.decode == nil {
		return nil, errors.New("answer: the zero Type decodes nothing: make one with For")
	}
	return t.decode(mediaType, body)
}

// Complete decodes body and completes the activity of c with the value.
// If Decode returns an error, Complete returns that error and accepts nothing.
// Otherwise Complete returns the error of async.Pending.Complete. A
// TypeMismatchError, for example, means that the activity awaits another type.
func (t Type) Complete(ctx context.Context, c async.Callback, mediaType string, body []byte) error {
	value, err := t.Decode(mediaType, body)
	if err != nil {
		return err
	}
	return t.complete(ctx, c, value)
}

// Decide adds a note to the journal of c's round. If f returns done, Decide
// also completes the activity with f's value: see async.Pending.Decide. The
// value must be of the Go type, as Decode returns it.
func (t Type) Decide(ctx context.Context, c async.Callback, n async.Note, f func(notes []async.Note) (value any, done bool, err error)) (done bool, err error) {
	if t.decide == nil {
		return false, errors.New("answer: the zero Type decides nothing: make one with For")
	}
	return t.decide(ctx, c, n, f)
}

// GoType returns the Go type that the Type was made from.
func (t Type) GoType() reflect.Type { return t.goType }

// decoder reads values of one Go type.
type decoder struct {
	goType  reflect.Type // the activity's type, possibly a pointer
	element reflect.Type // the same type without pointers
	schema  schema
	message proto.Message // an empty message, if T is a protobuf message
	given   bool          // the application has given the schema
}

func newDecoder(t reflect.Type, given json.RawMessage) (*decoder, error) {
	d := &decoder{goType: t, element: t, given: given != nil}
	for d.element.Kind() == reflect.Pointer {
		d.element = d.element.Elem()
	}
	if m, ok := reflect.New(d.element).Interface().(proto.Message); ok {
		if t != reflect.PointerTo(d.element) {
			return nil, fmt.Errorf("a protobuf message must be a pointer: use %s", reflect.PointerTo(d.element))
		}
		d.message = m
	}
	var s *jsonschema.Schema
	var err error
	switch {
	case d.given:
		s = new(jsonschema.Schema)
		if err := json.Unmarshal(given, s); err != nil {
			return nil, fmt.Errorf("TypeOptions.Schema is not a JSON Schema: %w", err)
		}
	case d.message != nil:
		s = messageSchema(d.message)
	default:
		if s, err = infer(d.element); err != nil {
			return nil, fmt.Errorf("no schema can be inferred, set TypeOptions.Schema: %w", err)
		}
	}
	if d.schema, err = newSchema(s); err != nil {
		return nil, fmt.Errorf("its schema can't be used: %w", err)
	}
	d.schema.inferred = !d.given && d.message == nil
	if d.given {
		d.schema.raw = bytes.Clone(given)
	}
	return d, nil
}

func (d *decoder) decode(mediaType string, body []byte) (any, error) {
	if d.element == reflect.TypeFor[async.None]() && len(body) == 0 {
		return d.pointed(reflect.New(d.element)), nil
	}
	binary, err := d.isBinary(mediaType)
	if err != nil {
		return nil, err
	}
	v := reflect.New(d.element)
	switch {
	case binary:
		err = d.readBinary(body, v.Interface().(proto.Message))
	case d.message != nil:
		err = d.readMessage(body, v.Interface().(proto.Message))
	default:
		err = d.read(body, v)
	}
	if err != nil {
		return nil, err
	}
	if err := validate(v.Interface()); err != nil {
		return nil, err
	}
	return d.pointed(v), nil
}

// pointed returns the value that v points to, with as many pointers around it
// as the Go type has.
func (d *decoder) pointed(v reflect.Value) any {
	for v.Type() != d.goType && d.goType.Kind() == reflect.Pointer {
		p := reflect.New(v.Type())
		p.Elem().Set(v)
		v = p
	}
	if d.goType.Kind() != reflect.Pointer {
		v = v.Elem()
	}
	return v.Interface()
}

func (d *decoder) isBinary(mediaType string) (bool, error) {
	name, parameters, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return false, ErrMediaType
	}
	switch charset, ok := parameters["charset"]; {
	case name == "application/json" && (!ok || strings.EqualFold(charset, "utf-8")):
		return false, nil
	case name == "application/x-protobuf" && d.message != nil:
		return true, nil
	default:
		return false, ErrMediaType
	}
}

// read decodes JSON by the rules of the schema, and then by those of the Go
// type.
func (d *decoder) read(body []byte, v reflect.Value) error {
	doc, err := parse(body)
	if err != nil {
		return err
	}
	if err := d.schema.check(doc.root); err != nil {
		return err
	}
	if d.given { // an inferred schema checks the names itself
		if err := exactNames(d.element, doc.root); err != nil {
			return err
		}
	}
	if err := unmarshal(body, v.Interface()); err != nil {
		return err
	}
	if doc.long {
		return exactNumbers(body, v.Interface())
	}
	return nil
}

// unmarshal is like json.Unmarshal, but keeps numbers exact and refuses unknown
// names. A type's own decoder may panic.
func unmarshal(body []byte, v any) (err error) {
	defer func() {
		if recover() != nil {
			err = whole("is refused by the decoder of the type")
		}
	}()
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	err = dec.Decode(v)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		pointer := ""
		if wrong.Field != "" {
			pointer = "/" + strings.ReplaceAll(wrong.Field, ".", "/")
		}
		return &Invalid{Pointer: pointer, Detail: "must fit " + kindName(wrong.Type)}
	}
	return whole("has a value or a name that the type doesn't take")
}

func kindName(t reflect.Type) string {
	switch k := t.Kind(); {
	case k >= reflect.Int && k <= reflect.Uint64:
		return "a whole number of type " + k.String() + ", without fraction or exponent"
	case t.Name() != "":
		return t.Name()
	default:
		return t.Kind().String()
	}
}

// validate calls the Validate method of the value or of its pointer. The text
// of the error is for the sender, and may repeat the value.
func validate(v any) (err error) {
	check, ok := v.(interface{ Validate() error })
	if !ok {
		return nil
	}
	const plain = "its value fails the Validate method of the type"
	defer func() {
		if recover() != nil {
			err = &Invalid{Detail: "is refused by the type", plain: plain}
		}
	}()
	if wrong := check.Validate(); wrong != nil {
		return &Invalid{Detail: wrong.Error(), plain: plain}
	}
	return nil
}
