package board

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/web/answer"
)

const (
	maxBody     = 8 << 20 // enough for a form with a result of the largest blob limit
	bodyTimeout = 10 * time.Second
)

// The bodies of actions, as JSON. Forms use the same names.
type (
	bareBody struct {
		Why   string `json:"why" jsonschema:"the reason, which the journal keeps"`
		Round string `json:"round,omitempty" jsonschema:"the round that the caller has seen: another one is refused"`
	}
	completeBody struct {
		Why    string          `json:"why" jsonschema:"the reason, which the journal keeps"`
		Round  string          `json:"round,omitempty" jsonschema:"the round that the caller has seen: another one is refused"`
		Result json.RawMessage `json:"result,omitempty" jsonschema:"a result of the type that the entry awaits"`
	}
	failBody struct {
		Why     string `json:"why" jsonschema:"the reason, which the journal keeps"`
		Round   string `json:"round,omitempty" jsonschema:"the round that the caller has seen: another one is refused"`
		Message string `json:"message" jsonschema:"what went wrong, for the workflow"`
		Type    string `json:"type,omitempty" jsonschema:"the type of Temporal's application failure"`
	}
	bulkBody struct {
		Action string `json:"action" jsonschema:"retry or abandon"`
		Why    string `json:"why" jsonschema:"the reason, which the journals keep"`
		Rows   []row  `json:"rows" jsonschema:"1 to 100 entries"`
	}
	row struct {
		ID    string `json:"id"`
		Round string `json:"round,omitempty"`
	}
)

// Validate refuses a failure without a message.
func (f failBody) Validate() error {
	if strings.TrimSpace(f.Message) == "" {
		return errors.New("a message is required")
	}
	return nil
}

func bodyTypes() (map[string]answer.Type, answer.Type, error) {
	bare, err1 := answer.For[bareBody](answer.TypeOptions{})
	complete, err2 := answer.For[completeBody](answer.TypeOptions{})
	failure, err3 := answer.For[failBody](answer.TypeOptions{})
	bulk, err4 := answer.For[bulkBody](answer.TypeOptions{})
	return map[string]answer.Type{"retry": bare, "abandon": bare, "complete": complete, "fail": failure, "reject": failure},
		bulk, errors.Join(err1, err2, err3, err4)
}

// formFields are the fields that a form of each verb may have.
var formFields = map[string][]string{
	"retry":    {"why", "round"},
	"abandon":  {"why", "round"},
	"complete": {"why", "round", "result"},
	"fail":     {"why", "round", "message", "type"},
	"reject":   {"why", "round", "message", "type"},
	"bulk":     {"why", "action", "row"},
}

// readBody reads a body within the time limit.
func (x *exchange) readBody() (mediaType string, body []byte, err error) {
	values := x.r.Header.Values("Content-Type")
	if len(values) != 1 {
		return "", nil, errMedia
	}
	mediaType, _, err = mime.ParseMediaType(values[0])
	if err != nil || mediaType != "application/json" && mediaType != "application/x-www-form-urlencoded" {
		return "", nil, errMedia
	}
	if x.r.ContentLength > maxBody {
		return "", nil, &http.MaxBytesError{Limit: maxBody}
	}
	// A test's recorder has no deadlines, and its bodies are complete.
	deadlines := http.NewResponseController(x.w)
	_ = deadlines.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err = io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	if err != nil {
		x.w.Header().Set("Connection", "close") // the rest of the body is not read
		return "", nil, err
	}
	_ = deadlines.SetReadDeadline(time.Time{})
	return mediaType, body, nil
}

// readForm reads a form. readForm refuses unknown fields. Each field except row
// appears once.
func readForm(body []byte, verb string) (url.Values, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errForm
	}
	for name, values := range form {
		if !slices.Contains(formFields[verb], name) || name != "row" && len(values) > 1 {
			return nil, errForm
		}
	}
	return form, nil
}

// readOrder reads the body of an action on one entry. typed is the content of
// the form; a page shows it again after an error.
func (b *Board) readOrder(x *exchange) (o order, typed url.Values, err error) {
	mediaType, body, err := x.readBody()
	if err != nil {
		return order{}, nil, err
	}
	if mediaType != "application/json" {
		form, err := readForm(body, x.verb)
		if err != nil {
			return order{}, nil, err
		}
		o := order{verb: x.verb, why: form.Get("why"), round: form.Get("round"), message: form.Get("message"), kind: form.Get("type")}
		if form.Has("result") {
			o.result = json.RawMessage(form.Get("result"))
		}
		if (x.verb == "fail" || x.verb == "reject") && strings.TrimSpace(o.message) == "" {
			return o, form, errMessage
		}
		return o, form, nil
	}
	v, err := b.bodies[x.verb].Decode("application/json", body)
	if err != nil {
		return order{}, nil, err
	}
	switch v := v.(type) {
	case bareBody:
		return order{verb: x.verb, why: v.Why, round: v.Round}, nil, nil
	case completeBody:
		return order{verb: x.verb, why: v.Why, round: v.Round, result: v.Result}, nil, nil
	default:
		f := v.(failBody)
		return order{verb: x.verb, why: f.Why, round: f.Round, message: f.Message, kind: f.Type}, nil, nil
	}
}

// readBulk reads the body of an action on several entries.
func (b *Board) readBulk(x *exchange) (order, []row, error) {
	mediaType, body, err := x.readBody()
	if err != nil {
		return order{}, nil, err
	}
	var v bulkBody
	if mediaType == "application/json" {
		decoded, err := b.bulkBody.Decode("application/json", body)
		if err != nil {
			return order{}, nil, err
		}
		v = decoded.(bulkBody)
	} else {
		form, err := readForm(body, "bulk")
		if err != nil {
			return order{}, nil, err
		}
		v.Action, v.Why = form.Get("action"), form.Get("why")
		for _, value := range form["row"] {
			id, round, _ := strings.Cut(value, ".")
			v.Rows = append(v.Rows, row{id, round})
		}
	}
	o := order{verb: v.Action, why: v.Why}
	switch err := o.check(); {
	case !verbs[v.Action].bulk:
		return o, nil, errBulkAction
	case len(v.Rows) == 0 || len(v.Rows) > maxBulk:
		return o, nil, errBulkRows
	case err != nil:
		return o, nil, err
	}
	return o, v.Rows, nil
}
