package answer

import (
	"reflect"
	"testing"
	"time"
)

type everything struct {
	Bool    bool             `json:"bool"`
	Text    string           `json:"text,omitempty"`
	I8      int8             `json:"i8,omitempty"`
	U16     uint16           `json:"u16,omitempty"`
	U64     uint64           `json:"u64,omitempty"`
	Float   float32          `json:"float,omitempty"`
	Any     any              `json:"any,omitempty"`
	List    []int32          `json:"list,omitempty"`
	Pair    [2]string        `json:"pair,omitempty"`
	Map     map[string]*int8 `json:"map,omitempty"`
	Pointer *time.Time       `json:"pointer,omitempty"`
	Bytes   []byte           `json:"bytes,omitempty"`
	Inner   struct {
		A int `json:"a"`
	} `json:"inner,omitzero"`
}

// FuzzCheck: for an inferred schema, the checker refuses every body that the
// library refuses. The checker may also refuse formats and encodings, which the
// library does not check.
func FuzzCheck(f *testing.F) {
	for _, body := range []string{
		`{"bool":true}`, `{}`, `null`, `[]`, `7`, `{"bool":1}`, `{"bool":true,"x":1}`, `{"bool":true,"Bool":true}`,
		`{"bool":true,"i8":128,"u16":-1,"u64":18446744073709551616}`, `{"bool":true,"i8":1.5,"u16":1.0,"float":1e300}`,
		`{"bool":true,"list":null,"map":{"a":null,"b":128},"pointer":null}`, `{"bool":true,"list":[1,"2",2147483648]}`,
		`{"bool":true,"pair":["a"]}`, `{"bool":true,"pair":["a","b","c"]}`, `{"bool":true,"inner":{"a":1,"b":2}}`, `{"bool":true,"inner":{}}`,
		`{"bool":true,"bytes":"%","pointer":"x","any":{"a":[1,{}]}}`,
	} {
		f.Add([]byte(body))
	}
	d, err := newDecoder(reflect.TypeFor[everything](), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		doc, err := parse(body)
		if err != nil {
			return
		}
		ours, theirs := d.schema.check(doc.root), d.schema.resolved.Validate(doc.root)
		if ours == nil && theirs != nil {
			t.Fatalf("%q: the library refuses it: %v", body, theirs)
		}
		if theirs == nil {
			for _, e := range Invalids(ours) {
				if e.Detail != "must be base64 with padding" && e.Detail != "must be a date and time with its zone, such as 2026-11-30T09:30:00Z" {
					t.Fatalf("%q: the library accepts it, and we say %v", body, e)
				}
			}
		}
	})
}
