package facts

import (
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// Raw WorkflowService() calls skip external storage: a 3 MiB result fails the
// activity. A derived client stores such a result outside.
func TestExternalStorage(t *testing.T) {
	t.Parallel()
	o := client.Options{
		Namespace:       "default",
		ExternalStorage: converter.ExternalStorage{Drivers: []converter.StorageDriver{new(rig.Storage)}},
	}
	r := newRigWithOptions(t, o)
	derived := derive(t, r.Client, o)
	large := decision{Approved: true, By: strings.Repeat("x", 3<<20)}
	stored, err := converter.GetDefaultDataConverter().ToPayload(large)
	if err != nil {
		t.Fatal(err)
	}

	run := r.Start(awaitDecision, patient())
	wantNil(t, "through a derived client", withOptions(r, derived, r.Next(), converter.NewRawValue(stored)))
	if got := result[decision](t, r, run); got != large {
		t.Errorf("the workflow read %d bytes, want %d", len(got.By), len(large.By))
	}
	completed := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED).GetActivityTaskCompletedEventAttributes()
	if size := proto.Size(completed.GetResult()); size == 0 || size > 1<<10 {
		t.Errorf("%d bytes in history, want a reference of at most 1 KiB", size)
	}

	run = r.Start(awaitDecision, patient())
	wantNil(t, "through the service", respond(r, r.Next(), stored))
	wantFailedForGood(t, r, run, "Complete result exceeds size limit")
}
