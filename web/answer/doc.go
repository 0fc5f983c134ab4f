// Package answer decodes the body of an HTTP request into the typed result that
// an activity awaits.
//
// [For] returns the [Type] of a Go type. A Type has the name under which
// Latchkey stores the result type, a JSON Schema, and a strict decoder.
// [Type.Complete] decodes a body and completes the activity with the value.
//
// encoding/json accepts {}, null, misspelt names, names with another case, a
// name that appears twice and text after the value. A workflow would then read
// a zero value as the answer. A Type refuses such bodies and reports the
// problem: each [Invalid] has an RFC 6901 pointer to the place and a detail for
// the sender.
//
// # Schemas
//
// For infers the schema from the Go type. A field is required unless its tag
// has omitempty or omitzero. Names that the Go type does not have are refused.
// Some types need [TypeOptions].Schema: recursive types, types with their own
// UnmarshalJSON method, and embedded structs with a name in their tag.
//
// The schema belongs to one Go version of a type; the name stays the same
// across versions (see async.ResultType). During a rolling deployment, two
// versions answer for one name. A new optional field is compatible. The older
// version refuses bodies with this field, and the sender's retry reaches a
// newer process. A new required field is not compatible: senders that know only
// the older schema are refused.
//
// # Protobuf messages
//
// If T is a pointer to a generated message, bodies are protobuf's JSON mapping.
// With the media type application/x-protobuf they are binary. Protobuf has no
// required fields, so an empty message is accepted. To require fields, set
// TypeOptions.Schema; it applies to both encodings.
package answer
