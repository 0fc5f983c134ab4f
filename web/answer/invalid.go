package answer

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// ErrMediaType means that a body has a media type or a charset that the type
// does not accept.
var ErrMediaType = errors.New("answer: the media type must be application/json in UTF-8")

// Invalid describes a problem of a body to its sender.
//
// Pointer and Detail may be sent back to the sender. Pointer and Detail may
// repeat names of the body, and Detail may be the text of the type's own
// Validate method. Error repeats nothing of the body, so it is safe in logs.
type Invalid struct {
	Pointer string // an RFC 6901 pointer; "" for the whole body
	Detail  string // for example "is required"

	plain string // replaces Detail in Error; "" keeps Detail
}

// Error describes the problem without the pointer, whose names come from the
// body.
func (e *Invalid) Error() string {
	if e.plain != "" {
		return "answer: the body is refused: " + e.plain
	}
	return "answer: the body is refused: a value " + e.Detail
}

// Invalids returns all problems in err, in the order of the body.
func Invalids(err error) []Invalid {
	var all many
	if errors.As(err, &all) {
		list := make([]Invalid, len(all))
		for i, e := range all {
			list[i] = *e
		}
		return list
	}
	if one, ok := errors.AsType[*Invalid](err); ok {
		return []Invalid{*one}
	}
	return nil
}

// Join returns an error with these problems, in this order, or nil for none.
// Join is for code that checks a part of an answer itself, such as a form.
func Join(list []Invalid) error {
	all := make([]*Invalid, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return join(all)
}

// many is a list of problems of one body.
type many []*Invalid

func (m many) Error() string {
	texts := make([]string, len(m))
	for i, e := range m {
		texts[i] = strings.TrimPrefix(e.Error(), "answer: the body is refused: ")
	}
	return "answer: the body is refused: " + strings.Join(texts, "; ")
}

func (m many) Unwrap() []error {
	list := make([]error, len(m))
	for i, e := range m {
		list[i] = e
	}
	return list
}

// join returns nil for no problems.
func join(list []*Invalid) error {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	default:
		return many(list)
	}
}

// whole returns a problem of the whole body.
func whole(detail string) *Invalid { return &Invalid{Detail: detail, plain: "it " + detail} }

// path leads to a place in a body. A path becomes a pointer only if there is a
// problem, because a pointer for each place would make the work quadratic.
type path struct {
	up    *path
	name  string
	index int
	item  bool // index is used if name is not
}

// maxPointer is the maximum length of a pointer, in bytes.
const maxPointer = 1 << 10

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// pointer returns the RFC 6901 pointer. If the pointer is longer than
// maxPointer, pointer returns that of the nearest place above.
func (p *path) pointer() string {
	var steps []string
	for ; p != nil; p = p.up {
		if p.item {
			steps = append(steps, strconv.Itoa(p.index))
		} else {
			steps = append(steps, p.name)
		}
	}
	var b strings.Builder
	for _, step := range slices.Backward(steps) {
		if b.Len()+len(step) >= maxPointer {
			break
		}
		b.WriteString("/" + escaper.Replace(step))
	}
	return b.String()
}
