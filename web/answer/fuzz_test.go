package answer_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/latchkey-go/latchkey/web/answer"
)

var seeds = []string{
	`{"approved":true}`, `{}`, `null`, `[]`, `"a"`, `{"a":1,"a":2}`, `{"approved":true} x`, "\xff", `"\ud800"`, `"\ud83d\ude00"`, `[[[[]]]]`,
	`{"approved":true,"cents":9007199254740993,"weight":1e3,"extra":[-0,0.1,1E+2,{"a/b~":"\\\"\u0041"}]}`,
	`{"approved":true,"until":"2026-11-30T09:30:00Z","proof":"aGk=","lines":[{"count":-128}]}`,
	`{"approved":true,"until":"2026-11-30t09:30:00.123456789+23:59"}`, ` { "approved" : false , "by" : null } `,
	`{"Approved":true,"approved":true}`, `1e400`, `123456789012345678901234567890`,
}

// FuzzStrict: a body that Strict accepts is JSON that encoding/json reads as
// the same value for every order of members, without losing a name.
func FuzzStrict(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if answer.Strict(body) != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatalf("accepted, and not JSON: %q", body)
		}
		var v any
		if err := unmarshal(body, &v); err != nil {
			t.Fatalf("accepted, and json: %v", err)
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Strict(again) != nil {
			t.Fatalf("%q is accepted, and encoded again %q is not: %v", body, again, answer.Strict(again))
		}
		if names(again) != names(body) {
			t.Fatalf("%q has %d names, and encoded again %d", body, names(body), names(again))
		}
	})
}

// names counts the members of all objects.
func names(body []byte) (n int) {
	dec := json.NewDecoder(bytes.NewReader(body))
	for {
		tok, err := dec.Token()
		if err != nil {
			return n
		}
		_ = tok
		n++
	}
}

func unmarshal(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	return dec.Decode(v)
}

// FuzzDecode: an accepted body is JSON, and its value encodes to a body that
// decodes to the same value.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	typ := mustFor[Decision](f, answer.TypeOptions{})
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := typ.Decode("application/json", body)
		if err != nil {
			if len(answer.Invalids(err)) == 0 {
				t.Fatalf("%q: %v is no Invalid", body, err)
			}
			return
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		second, err := typ.Decode("application/json", again)
		if err != nil {
			t.Fatalf("%q is accepted, and encoded again %q is not: %v", body, again, err)
		}
		third, err := json.Marshal(second)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%q decodes to %s and then to %s", body, again, third)
		}
		if v := reflect.ValueOf(v); v.Type() != reflect.TypeFor[Decision]() {
			t.Fatalf("decoded to a %v", v.Type())
		}
	})
}
