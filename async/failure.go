package async

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// toFailure converts an error to a failure. If details or attributes cannot be
// encoded, the SDK's converter panics and toFailure returns an error.
func toFailure(c converter.FailureConverter, err error) (*failurepb.Failure, error) {
	return guarded("the failure converter or its codec", func() (*failurepb.Failure, error) {
		f := copyOf(c.ErrorToFailure(err))
		makeValid(f.ProtoReflect())
		return f, nil
	})
}

const (
	// maxCauses is the maximum number of causes that a failure keeps. Protobuf
	// in some languages reads messages only up to a nesting depth of 100, and
	// history wraps a failure in a few more messages.
	maxCauses = 64
	// maxChain is the maximum number of causes that endless counts. An error
	// that unwraps to itself has no end, and the SDK's converter recurses.
	maxChain = 20_000
)

// endless reports whether an error has too many causes to convert.
func endless(err error) bool {
	n := 0
	for ; err != nil && n <= maxChain; n++ {
		err = errors.Unwrap(err)
	}
	return n > maxChain
}

// copyOf copies a failure, without the causes beyond maxCauses. A failure that
// an error carries must not be changed in place.
func copyOf(f *failurepb.Failure) *failurepb.Failure {
	var first *failurepb.Failure
	into, n := &first, 0
	for ; f != nil && n <= maxCauses; f, n = f.GetCause(), n+1 {
		level := new(failurepb.Failure)
		f.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			if field.Name() != "cause" {
				level.ProtoReflect().Set(field, v)
			}
			return true
		})
		*into = proto.CloneOf(level)
		if f.GetCause() != nil && n == maxCauses && level.EncodedAttributes == nil {
			(*into).Message += fmt.Sprintf(" [%d causes cut by Latchkey]", len(causes(f))-1)
		}
		into = &(*into).Cause
	}
	return first
}

// makeValid replaces bytes that are not UTF-8 with U+FFFD. Protobuf refuses
// messages with such bytes.
func makeValid(m protoreflect.Message) {
	valid := make(map[protoreflect.FieldDescriptor]string)
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case field.IsMap():
		case field.IsList() && field.Message() != nil:
			for i := range v.List().Len() {
				makeValid(v.List().Get(i).Message())
			}
		case field.IsList():
		case field.Message() != nil:
			makeValid(v.Message())
		case field.Kind() == protoreflect.StringKind && !utf8.ValidString(v.String()):
			valid[field] = strings.ToValidUTF8(v.String(), "\uFFFD")
		}
		return true
	})
	for field, text := range valid {
		m.Set(field, protoreflect.ValueOfString(text))
	}
}

// toFailure converts an error with the application's converter.
func (e encoder) toFailure(in *converter.ActivitySerializationContext, err error) (*failurepb.Failure, error) {
	c, convErr := e.failureIn(in)
	if convErr != nil {
		return nil, convErr
	}
	return toFailure(c, err)
}

// asApplicationFailure converts a failure to one that Temporal accepts as the
// activity's own. A cancellation among the causes would end the workflow as
// cancelled. A timeout or a termination at the top has a retryability of its
// own.
func asApplicationFailure(f *failurepb.Failure, retryable bool) *failurepb.Failure {
	for c := f; c != nil; c = c.GetCause() {
		if info := c.GetCanceledFailureInfo(); info != nil {
			c.FailureInfo = &failurepb.Failure_ApplicationFailureInfo{ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{
				Type: "Canceled", Details: info.GetDetails(),
			}}
		}
	}
	if f.GetApplicationFailureInfo() == nil {
		f = &failurepb.Failure{
			Message: f.GetMessage(),
			Cause:   f,
			FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
				ApplicationFailureInfo: new(failurepb.ApplicationFailureInfo),
			},
		}
	}
	if !retryable {
		f.GetApplicationFailureInfo().NonRetryable = true
	}
	return f
}

// cutFailure makes a failure fit the limit. The server would replace a larger
// failure by a terminal one, whatever its retryability. cutFailure first
// removes stack traces, then details, then the ends of messages and the deepest
// causes.
//
// f is the failure from the application's converter. plain is the same failure
// from the SDK's default converter. encode converts an error as f was converted.
// An encrypted failure cannot be cut, so cutFailure
// encodes a shorter error instead.
func cutFailure(f, plain *failurepb.Failure, limit int, encode func(error) (*failurepb.Failure, error)) (*failurepb.Failure, error) {
	whole := proto.Size(f)
	if whole <= limit {
		return f, nil
	}
	note := fmt.Sprintf(" [cut by Latchkey from %d bytes]", whole)
	if !hasEncodedAttributes(f) {
		f.Message += note
		for _, cut := range []func(*failurepb.Failure){cutStackTrace, cutDetails} {
			for _, c := range causes(f) {
				cut(c)
			}
			if proto.Size(f) <= limit {
				return f, nil
			}
		}
	}
	for budget := limit; budget > len(note); budget /= 2 {
		shorter, err := encode(cutError(plain, budget, note))
		if err != nil || proto.Size(shorter) <= limit {
			return shorter, err
		}
	}
	return nil, fmt.Errorf("%w: the failure has %d bytes as encoded, over %d, and can't be cut", ErrTooLarge, whole, limit)
}

func hasEncodedAttributes(f *failurepb.Failure) bool {
	return slices.ContainsFunc(causes(f), func(c *failurepb.Failure) bool { return c.GetEncodedAttributes() != nil })
}

func cutStackTrace(f *failurepb.Failure) { f.StackTrace = "" }

func cutDetails(f *failurepb.Failure) {
	if info := f.GetApplicationFailureInfo(); info != nil {
		info.Details = nil
	}
	if info := f.GetTimeoutFailureInfo(); info != nil {
		info.LastHeartbeatDetails = nil
	}
}

// cutError returns an error with the messages and types of a failure and its
// causes, in about budget bytes. Of the other fields it keeps only those that
// decide on the retry.
func cutError(f *failurepb.Failure, budget int, note string) error {
	const level = 512 // bytes reserved for each cause
	chain := causes(f)
	chain = chain[:min(len(chain), max(1, budget/level))]
	each := budget / len(chain)
	var err error
	for i, c := range slices.Backward(chain) {
		info := c.GetApplicationFailureInfo()
		o := temporal.ApplicationErrorOptions{
			NonRetryable: info.GetNonRetryable(),
			Cause:        err,
			Category:     temporal.ApplicationErrorCategory(info.GetCategory()),
		}
		message := validPrefix(c.GetMessage(), each)
		if i == 0 {
			o.NextRetryDelay = info.GetNextRetryDelay().AsDuration()
			message += note
		}
		err = temporal.NewApplicationErrorWithOptions(message, validPrefix(info.GetType(), each/4), o)
	}
	return err
}

// causes returns a failure and all its causes.
func causes(f *failurepb.Failure) []*failurepb.Failure {
	var chain []*failurepb.Failure
	for ; f != nil; f = f.GetCause() {
		chain = append(chain, f)
	}
	return chain
}

// validPrefix returns at most n bytes of s, and never cuts inside a character.
func validPrefix(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
