package inbox_test

import (
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
	"google.golang.org/protobuf/proto"
)

// change writes to the only record behind the hub's back.
func (r *rig) change(f func(rec *record.Record)) {
	r.t.Helper()
	var found store.Entry
	for e, err := range r.store.List(r.t.Context()) {
		if err != nil {
			r.t.Fatal(err)
		}
		found = e
	}
	rec := new(record.Record)
	if err := proto.Unmarshal(found.Body[1:], rec); err != nil {
		r.t.Fatal(err)
	}
	f(rec)
	body, err := proto.Marshal(rec)
	if err != nil {
		r.t.Fatal(err)
	}
	found.Body = append([]byte{found.Body[0]}, body...)
	if _, err := r.store.Put(r.t.Context(), found); err != nil {
		r.t.Fatal(err)
	}
}
