package async

import (
	"fmt"
	"reflect"
	"unicode/utf8"
)

// typeNamer lets a result type keep its stored name when its Go name changes.
type typeNamer interface{ ResultType() string }

// maxTypeName is the maximum length of a stored type name, in bytes.
const maxTypeName = 255

// ResultType returns the stored name of the result type T. The name is the
// result of T's method ResultType, or otherwise the import path and name of T.
// A pointer has the name of its element type. ResultType returns an error if T
// cannot be a result, for example an interface or an unnamed struct.
func ResultType[T any]() (string, error) {
	name, err := resultType[T]()
	if err != nil {
		return "", fmt.Errorf("async: %w", err)
	}
	return name, nil
}

// resultType returns the stored name of T. The name is the result of T's method
// ResultType, or otherwise the import path and name of T. A pointer has the
// name of its element type, because both are encoded alike.
func resultType[T any]() (string, error) {
	t := reflect.TypeFor[T]()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Interface {
		return "", fmt.Errorf("%s is an interface: name the type that the result has, or async.None", t)
	}
	name := ""
	if reflect.PointerTo(t).Implements(reflect.TypeFor[typeNamer]()) {
		n := reflect.New(t).Interface().(typeNamer)
		var err error
		if name, err = guarded("the method ResultType", func() (string, error) { return n.ResultType(), nil }); err != nil {
			return "", fmt.Errorf("%s: %w", t, err)
		}
	} else {
		var err error
		if name, err = typeName(t); err != nil {
			return "", err
		}
	}
	if name == "" || len(name) > maxTypeName || !utf8.ValidString(name) {
		return "", fmt.Errorf("the name of %s must be 1 to %d bytes of UTF-8, got %d bytes: give it a method ResultType() string", t, maxTypeName, len(name))
	}
	return name, nil
}

func typeName(t reflect.Type) (string, error) {
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		return "", fmt.Errorf("%s can't be encoded", t)
	}
	if t.Name() != "" {
		if t.PkgPath() == "" {
			return t.Name(), nil
		}
		return t.PkgPath() + "." + t.Name(), nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return prefixed("*", t.Elem())
	case reflect.Slice:
		return prefixed("[]", t.Elem())
	case reflect.Array:
		return prefixed(fmt.Sprintf("[%d]", t.Len()), t.Elem())
	case reflect.Map:
		key, err := typeName(t.Key())
		if err != nil {
			return "", err
		}
		return prefixed("map["+key+"]", t.Elem())
	case reflect.Interface:
		return t.String(), nil // an element of a named map or slice
	default:
		return "", fmt.Errorf("%s is an unnamed struct: give it a name, which the other side can use too", t)
	}
}

func prefixed(prefix string, t reflect.Type) (string, error) {
	name, err := typeName(t)
	return prefix + name, err
}

// isNil reports whether v is a nil pointer, or a pointer to one. Temporal would
// accept a nil pointer, and the workflow would read a zero value as the answer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	for r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return true
		}
		r = r.Elem()
	}
	return false
}

// None is the result of an activity that returns only an error. None is sent
// without a payload.
type None struct{}

// ResultType returns "none".
func (None) ResultType() string { return "none" }
