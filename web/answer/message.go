package answer

import (
	"maps"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// messageSchema describes a protobuf message only by its name, because
// protobuf's JSON mapping allows several forms for most fields.
func messageSchema(m proto.Message) *jsonschema.Schema {
	d := m.ProtoReflect().Descriptor()
	s := &jsonschema.Schema{Schema: dialect, Title: string(d.FullName()), Description: "The JSON mapping of this protobuf message."}
	if !isWellKnown(d) {
		s.Type = "object"
	}
	return s
}

func isWellKnown(d protoreflect.MessageDescriptor) bool {
	return strings.HasPrefix(string(d.FullName()), "google.protobuf.")
}

// readMessage decodes protobuf's JSON mapping.
func (d *decoder) readMessage(body []byte, m proto.Message) error {
	doc, err := parse(body)
	if err != nil {
		return err
	}
	if err := d.schema.check(doc.root); err != nil {
		return err
	}
	var problems []*Invalid
	messageNames(m.ProtoReflect().Descriptor(), doc.root, nil, &problems)
	if err := join(problems); err != nil {
		return err
	}
	if protojson.Unmarshal(body, m) != nil {
		return whole("is not the JSON mapping of the message " + string(m.ProtoReflect().Descriptor().FullName()))
	}
	return nil
}

// readBinary decodes the wire format. A schema of the application also applies
// to the binary form.
func (d *decoder) readBinary(body []byte, m proto.Message) error {
	name := string(m.ProtoReflect().Descriptor().FullName())
	if proto.Unmarshal(body, m) != nil {
		return whole("is not the message " + name)
	}
	if hasUnknown(m) {
		return whole("has fields that the message " + name + " doesn't have here")
	}
	if !d.given {
		return nil
	}
	text, err := protojson.Marshal(m)
	if err != nil {
		return whole("has no JSON mapping")
	}
	doc, err := parse(text)
	if err != nil {
		return err
	}
	return d.schema.check(doc.root)
}

func hasUnknown(m proto.Message) bool {
	unknown := false
	_ = protorange.Range(m.ProtoReflect(), func(v protopath.Values) error {
		if message, ok := v.Index(-1).Value.Interface().(protoreflect.Message); ok && len(message.GetUnknown()) > 0 {
			unknown = true
			return protorange.Terminate
		}
		return nil
	})
	return unknown
}

// messageNames records names that the message does not have. protojson checks
// the values.
func messageNames(d protoreflect.MessageDescriptor, v any, at *path, problems *[]*Invalid) {
	members, ok := v.(map[string]any)
	if !ok || isWellKnown(d) {
		return
	}
	fields := d.Fields()
	for _, name := range slices.Sorted(maps.Keys(members)) {
		member := members[name]
		here := &path{up: at, name: name}
		f := fields.ByJSONName(name)
		if f == nil {
			f = fields.ByTextName(name)
		}
		switch {
		case strings.HasPrefix(name, "[") && d.ExtensionRanges().Len() > 0:
		case f == nil && len(*problems) < maxProblems:
			*problems = append(*problems, &Invalid{Pointer: here.pointer(), Detail: "is unknown; the known names are " + messageFields(fields)})
		case f == nil || f.IsMap() && f.MapValue().Message() == nil || !f.IsMap() && f.Message() == nil:
		case f.IsMap():
			if entries, ok := member.(map[string]any); ok {
				for key, entry := range entries {
					messageNames(f.MapValue().Message(), entry, &path{up: here, name: key}, problems)
				}
			}
		case f.IsList():
			if items, ok := member.([]any); ok {
				for i, item := range items {
					messageNames(f.Message(), item, &path{up: here, index: i, item: true}, problems)
				}
			}
		default:
			messageNames(f.Message(), member, here, problems)
		}
	}
}

func messageFields(fields protoreflect.FieldDescriptors) string {
	var names []string
	for i := range min(fields.Len(), 20) {
		names = append(names, fields.Get(i).JSONName())
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
