package answer_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/apipb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
)

type Decision struct {
	Approved bool       `json:"approved"`
	By       string     `json:"by,omitempty"`
	Cents    int64      `json:"cents,omitempty"`
	Weight   float64    `json:"weight,omitempty"`
	Until    *time.Time `json:"until,omitempty"`
	Proof    []byte     `json:"proof,omitempty"`
	Lines    []Line     `json:"lines,omitempty"`
	Extra    any        `json:"extra,omitempty"`
}

type Line struct {
	Count int8 `json:"count"`
}

func (Decision) ResultType() string { return "decision" }

func mustFor[T any](t testing.TB, o answer.TypeOptions) answer.Type {
	t.Helper()
	typ, err := answer.For[T](o)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

// decode decodes a body, and returns the value. If the body is refused, decode
// returns the reasons as "pointer detail" lines.
func decode(typ answer.Type, mediaType, body string) (any, []string) {
	v, err := typ.Decode(mediaType, []byte(body))
	var lines []string
	for _, e := range answer.Invalids(err) {
		lines = append(lines, strings.TrimSpace(e.Pointer+" "+e.Detail))
	}
	if err != nil && lines == nil {
		lines = []string{err.Error()}
	}
	return v, lines
}

// encoding/json accepts many of the bad bodies in this test, or a part of them.
// The decoder refuses them, and names the place of the problem.
func TestBodies(t *testing.T) {
	typ := mustFor[Decision](t, answer.TypeOptions{})
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	const names = "is unknown; the known names are approved, by, cents, extra, lines, proof, until, weight"
	for _, c := range []struct{ name, body, want string }{
		{"good", `{"approved":true}`, ""},
		{"good with all", `{"approved":true,"by":"Ann","cents":1,"until":"2026-11-30T09:30:00Z","proof":"aGk=","lines":[{"count":1}],"extra":{"a":[1]}}`, ""},
		{"an empty object", `{}`, "/approved is required"},
		{"null", `null`, "must be object"},
		{"a null field", `{"approved":null}`, "/approved must be boolean"},
		{"a misspelt name", `{"approved":true,"aproved":true}`, "/aproved " + names},
		{"a misspelt name alone", `{"aproved":true}`, "/approved is required\n/aproved " + names},
		{"another case", `{"Approved":true}`, "/approved is required\n/Approved is unknown: the name is \"approved\", and case counts"},
		{"a name twice", `{"approved":false,"approved":true}`, "/approved has a name that appears twice in its object"},
		{"a name twice, escaped", `{"approved":false,"\u0061pproved":true}`, "/approved has a name that appears twice in its object"},
		{"a name twice, below", `{"approved":true,"extra":{"a/b~":1,"a/b~":2}}`, "/extra/a~1b~0 has a name that appears twice in its object"},
		{"text after the value", `{"approved":true} {}`, "is not one JSON value: the problem is at byte 19"},
		{"cut", `{"approved":tr`, "is not one JSON value: the problem is at byte 14"},
		{"empty", ``, "is empty"},
		{"white space", ` `, "is not one JSON value: the problem is at byte 1"},
		{"a form", `approved=true`, "is not one JSON value: the problem is at byte 1"},
		{"a byte order mark", "\ufeff{}", "is not one JSON value: the problem is at byte 1"},
		{"not UTF-8", "{\"approved\":true,\"by\":\"caf\xe9\"}", "is not valid UTF-8"},
		{"half a surrogate", `{"approved":true,"by":"\ud83d"}`, "/by has an escaped surrogate without its partner, which is no character"},
		{"a surrogate the wrong way round", `{"approved":true,"by":"\\\udc00\ud83d"}`, "/by has an escaped surrogate without its partner, which is no character"},
		{"a pair of surrogates", `{"approved":true,"by":"\\\ud83d\ude00\"\u00e9"}`, ""},
		{"deep", `{"approved":true,"extra":` + deep + `}`, "is nested deeper than 64"},
		{"another type", `{"approved":"yes"}`, "/approved must be boolean"},
		{"a number as text", `{"approved":true,"cents":"7"}`, "/cents must be integer"},
		{"half a cent", `{"approved":true,"cents":0.5}`, "/cents must be integer"},
		{"a whole number with an exponent", `{"approved":true,"cents":1e2}`, "/cents must fit a whole number of type int64, without fraction or exponent"},
		{"over an int64", `{"approved":true,"cents":9223372036854775808}`, "/cents must fit a whole number of type int64, without fraction or exponent"},
		{"over an int8", `{"approved":true,"lines":[{"count":1},{"count":128}]}`, "/lines/1/count must be at most 127"},
		{"over 2^53 in an int64", `{"approved":true,"cents":9007199254740993}`, ""},
		{"over 2^53 in an any", `{"approved":true,"extra":{"n":[9007199254740993]}}`, ""},
		{"over 2^53 in a float64", `{"approved":true,"weight":9007199254740993}`, "/weight is a whole number that the type can't hold exactly"},
		{"over 2^53 and even in a float64", `{"approved":true,"weight":9007199254740992}`, ""},
		{"out of range", `{"approved":true,"weight":1e999}`, "/weight has a number outside the range of a float64"},
		{"a vast exponent", `{"approved":true,"extra":1e999999999}`, "/extra has a number outside the range of a float64"},
		{"a long number", `{"approved":true,"extra":0.` + strings.Repeat("1", 255) + `}`, "/extra has a number of more than 256 characters"},
		{"no date", `{"approved":true,"until":"tomorrow"}`, "/until must be a date and time with its zone, such as 2026-11-30T09:30:00Z"},
		{"no base64", `{"approved":true,"proof":"%"}`, "/proof must be base64 with padding"},
		{"an array", `[{"approved":true}]`, "must be object"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, got := decode(typ, "application/json", c.body)
			if g := strings.Join(got, "\n"); g != c.want {
				t.Errorf("%s is refused with\n%s\nwant\n%s", c.body, g, c.want)
			}
			if d, ok := v.(Decision); c.want == "" && (!ok || !d.Approved) {
				t.Errorf("%s decodes to %#v", c.body, v)
			}
		})
	}
}

// A whole number arrives as it was sent.
func TestExactNumbers(t *testing.T) {
	v, _ := decode(mustFor[Decision](t, answer.TypeOptions{}), "application/json", `{"approved":true,"cents":9007199254740993,"extra":[9007199254740993]}`)
	if again, err := json.Marshal(v); err != nil || string(again) != `{"approved":true,"cents":9007199254740993,"extra":[9007199254740993]}` {
		t.Errorf("the value encodes to %s, %v", again, err)
	}
}

// At most 16 problems of a body are listed.
func TestManyProblems(t *testing.T) {
	var body strings.Builder
	body.WriteString(`{"approved":true`)
	for c := 'A'; c <= 'Z'; c++ {
		body.WriteString(`,"` + string(c) + `":1`)
	}
	if _, got := decode(mustFor[Decision](t, answer.TypeOptions{}), "application/json", body.String()+"}"); len(got) != 16 {
		t.Errorf("%d problems are listed, want 16", len(got))
	}
}

// The time for a body grows with its size, and not with the square of its size,
// even if each pointer would be long.
func TestLongNames(t *testing.T) {
	name := strings.Repeat("n", 500_000)
	body := `{"` + name + `":[` + strings.Repeat("12345678901234567,", 25_000) + `{"a":1,"a":1}]}`
	err := answer.Strict([]byte(body))
	if problems := answer.Invalids(err); len(problems) != 1 || problems[0].Pointer != "" {
		t.Errorf("the pointer is not cut to what is above the long name: %d problems", len(problems))
	}
}

func TestMediaTypes(t *testing.T) {
	typ := mustFor[Decision](t, answer.TypeOptions{})
	for mediaType, ok := range map[string]bool{
		"application/json":                  true,
		"Application/JSON; charset=UTF-8":   true,
		`application/json;charset="utf-8"`:  true,
		"application/json; charset=latin1":  false,
		"application/json;":                 true,
		"application/json; charset":         false,
		"text/json":                         false,
		"text/plain":                        false,
		"application/x-www-form-urlencoded": false,
		"application/x-protobuf":            false,
		"":                                  false,
	} {
		_, err := typ.Decode(mediaType, []byte(`{"approved":true}`))
		if ok && err != nil || !ok && !errors.Is(err, answer.ErrMediaType) {
			t.Errorf("a body of type %q: %v", mediaType, err)
		}
	}
}

// The text of Error contains nothing of the body.
func TestErrorsRepeatNothing(t *testing.T) {
	typ := mustFor[picky](t, answer.TypeOptions{})
	for _, body := range []string{
		`{"SECRET":1}`, `{"name":"SECRET","SECRET":{}}`, `{"name":"SECRET"}`, `"SECRET"`, `{"name":{"SECRET":1,"SECRET":1}}`, `SECRET`, `{"name":"SECRET\ud800"}`,
	} {
		_, err := typ.Decode("application/json", []byte(body))
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", body, err)
		}
	}
	_, got := decode(typ, "application/json", `{"name":"SECRET"}`)
	if want := []string{"SECRET is no name"}; !slices.Equal(got, want) {
		t.Errorf("the sender of a value that Validate refuses gets %q, want %q", got, want)
	}
	if _, err := mustFor[touchy](t, answer.TypeOptions{}).Decode("application/json", []byte(`{}`)); len(answer.Invalids(err)) != 1 {
		t.Errorf("a Validate method that panics: %v", err)
	}
}

type picky struct {
	Name string `json:"name"`
}

func (p *picky) Validate() error { return errors.New(p.Name + " is no name") }

type touchy struct{}

func (touchy) Validate() error { panic("SECRET") }

func TestNone(t *testing.T) {
	typ := mustFor[async.None](t, answer.TypeOptions{})
	for body, want := range map[string]string{``: "", `{}`: "", `null`: "must be object", `{"a":1}`: "/a is unknown"} {
		if _, got := decode(typ, "application/json", body); strings.Join(got, "\n") != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
	if v, got := decode(typ, "", ""); got != nil || v != (async.None{}) {
		t.Errorf("no body and no media type: %v, %v", v, got)
	}
}

func TestPointers(t *testing.T) {
	typ := mustFor[**Decision](t, answer.TypeOptions{})
	if _, got := decode(typ, "application/json", "null"); len(got) != 1 {
		t.Errorf("null for a pointer: %v", got)
	}
	v, got := decode(typ, "application/json", `{"approved":true}`)
	if d, ok := v.(**Decision); !ok || got != nil || !(*d).Approved {
		t.Errorf("decoded to %#v, %v", v, got)
	}
	if typ.Name() != "decision" {
		t.Errorf("the name is %q", typ.Name())
	}
}

// During the deployment of a fleet, two Go versions of a type have one name.
func TestVersions(t *testing.T) {
	old, optional, required := mustFor[v1](t, answer.TypeOptions{}), mustFor[v2](t, answer.TypeOptions{}), mustFor[v3](t, answer.TypeOptions{})
	if old.Name() != optional.Name() || old.Name() != required.Name() {
		t.Fatal("the names differ")
	}
	for _, c := range []struct {
		typ  answer.Type
		body string
		want string
	}{
		{old, `{"a":1}`, ""},
		{optional, `{"a":1}`, ""},
		{optional, `{"a":1,"b":2}`, ""},
		{old, `{"a":1,"b":2}`, "/b is unknown; the known names are a"},
		{required, `{"a":1}`, "/b is required"},
	} {
		if _, got := decode(c.typ, "application/json", c.body); strings.Join(got, "\n") != c.want {
			t.Errorf("%s: %q, want %q", c.body, got, c.want)
		}
	}
}

type v1 struct {
	A int `json:"a"`
}
type v2 struct {
	A int `json:"a"`
	B int `json:"b,omitempty"`
}
type v3 struct {
	A int `json:"a"`
	B int `json:"b"`
}

func (v1) ResultType() string { return "versioned" }
func (v2) ResultType() string { return "versioned" }
func (v3) ResultType() string { return "versioned" }

func TestForRefuses(t *testing.T) {
	wrong := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", what, err, want)
		}
	}
	_, err := answer.For[tree](answer.TypeOptions{})
	wrong("a recursive type", err, "contains itself")
	_, err = answer.For[any](answer.TypeOptions{})
	wrong("an interface", err, "is an interface")
	_, err = answer.For[own](answer.TypeOptions{})
	wrong("a decoder of its own", err, "UnmarshalJSON")
	_, err = answer.For[struct {
		N int `json:",string"`
	}](answer.TypeOptions{})
	wrong("an unnamed struct", err, "give it a name")
	_, err = answer.For[quoted](answer.TypeOptions{})
	wrong("a quoted number", err, `field N of answer_test.quoted: its tag has "string"`)
	_, err = answer.For[nested](answer.TypeOptions{})
	wrong("an embedded struct with a name", err, "embedded and has a name")
	_, err = answer.For[map[int]string](answer.TypeOptions{})
	wrong("a map by numbers", err, "keys that are not strings")
	_, err = answer.For[v1](answer.TypeOptions{Schema: json.RawMessage(`{"type": 7}`)})
	wrong("no schema", err, "not a JSON Schema")
	_, err = answer.For[v1](answer.TypeOptions{Schema: json.RawMessage(`{"$ref": "https://example.com/s"}`)})
	wrong("a schema elsewhere", err, "can't be used")
	_, err = answer.For[structpb.Struct](answer.TypeOptions{})
	wrong("a message by value", err, "must be a pointer")
	_, err = answer.Type{}.Decode("application/json", nil)
	wrong("the zero Type", err, "make one with For")
}

type quoted struct {
	N int `json:",string"`
}
type nested struct {
	v1 `json:"v"`
}

// The JSON of some types differs from their structure.
func TestInferredSchemas(t *testing.T) {
	type values struct {
		At   time.Time       `json:"at"`
		Addr netip.Addr      `json:"addr"`
		Big  *big.Int        `json:"big"`
		Raw  json.RawMessage `json:"raw"`
		Num  json.Number     `json:"num"`
		Skip func()          `json:"-"`
		v1
	}
	typ := mustFor[values](t, answer.TypeOptions{})
	v, got := decode(typ, "application/json", `{"at":"2026-11-30T09:30:00Z","addr":"::1","big":123456789012345678901234567890,"raw":[1],"num":1.10,"a":1}`)
	if got != nil {
		t.Fatalf("refused: %v\n%s", got, typ.Schema())
	}
	if d := v.(values); d.Num != "1.10" || d.Big.String() != "123456789012345678901234567890" || string(d.Raw) != "[1]" || d.A != 1 {
		t.Errorf("decoded to %+v", d)
	}
	if _, got := decode(mustFor[[]string](t, answer.TypeOptions{}), "application/json", "null"); strings.Join(got, "") != "must be array" {
		t.Errorf("null for a list: %v", got)
	}
}

func TestMessages(t *testing.T) {
	typ := mustFor[*apipb.Api](t, answer.TypeOptions{})
	if typ.Name() != "google.golang.org/protobuf/types/known/apipb.Api" {
		t.Errorf("the name is %q", typ.Name())
	}
	// Api is one of the well-known types, so protojson handles its names.
	v, got := decode(typ, "application/json", `{"name":"n","sourceContext":{"fileName":"f"}}`)
	if m, ok := v.(*apipb.Api); !ok || m.Name != "n" || m.SourceContext.FileName != "f" {
		t.Errorf("decoded to %v, %v", v, got)
	}
	for body, want := range map[string]string{
		`{"name":1}`:              "is not the JSON mapping of the message google.protobuf.Api",
		`{"name":"a","name":"a"}`: "/name has a name that appears twice in its object",
		`{"name":"a"} 1`:          "is not one JSON value: the problem is at byte 14",
		`{"nome":"a"}`:            "is not the JSON mapping of the message google.protobuf.Api",
	} {
		if _, got := decode(typ, "application/json", body); strings.Join(got, "") != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}

	wire, err := proto.Marshal(&apipb.Api{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if v, got := decode(typ, "application/x-protobuf", string(wire)); got != nil || v.(*apipb.Api).Name != "n" {
		t.Errorf("binary: %v, %v", v, got)
	}
	if _, got := decode(typ, "application/x-protobuf", string(wire)+"\xff"); strings.Join(got, "") != "is not the message google.protobuf.Api" {
		t.Errorf("damaged binary: %v", got)
	}
	unknown := append(wire, 0x98, 0x06, 0x01) // field 99
	if _, got := decode(typ, "application/x-protobuf", string(unknown)); strings.Join(got, "") != "has fields that the message google.protobuf.Api doesn't have here" {
		t.Errorf("binary with an unknown field: %v", got)
	}

	strict := mustFor[*apipb.Api](t, answer.TypeOptions{Schema: json.RawMessage(`{"type":"object","required":["version"]}`)})
	if _, got := decode(strict, "application/x-protobuf", string(wire)); strings.Join(got, "") != "/version is required" {
		t.Errorf("a schema of the application's for binary: %v", got)
	}
	if _, got := decode(mustFor[*wrapperspb.StringValue](t, answer.TypeOptions{}), "application/json", `"x"`); got != nil {
		t.Errorf("a message that isn't an object: %v", got)
	}
}
