package facts

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// outside is an external storage in memory.
type outside struct {
	mu       sync.Mutex
	payloads []*commonpb.Payload
}

func (*outside) Name() string { return "outside" }
func (*outside) Type() string { return "outside" }

func (s *outside) Store(_ converter.StorageDriverStoreContext, payloads []*commonpb.Payload) ([]converter.StorageDriverClaim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claims []converter.StorageDriverClaim
	for _, p := range payloads {
		claims = append(claims, converter.StorageDriverClaim{ClaimData: map[string]string{"n": fmt.Sprint(len(s.payloads))}})
		s.payloads = append(s.payloads, proto.CloneOf(p))
	}
	return claims, nil
}

func (s *outside) Retrieve(_ converter.StorageDriverRetrieveContext, claims []converter.StorageDriverClaim) ([]*commonpb.Payload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var payloads []*commonpb.Payload
	for _, c := range claims {
		var n int
		if _, err := fmt.Sscan(c.ClaimData["n"], &n); err != nil {
			return nil, err
		}
		payloads = append(payloads, proto.CloneOf(s.payloads[n]))
	}
	return payloads, nil
}

// Raw WorkflowService() calls skip external storage: a 3 MiB result fails the
// activity, while a derived client stores it outside.
func TestExternalStorage(t *testing.T) {
	t.Parallel()
	o := client.Options{
		Namespace:       "default",
		ExternalStorage: converter.ExternalStorage{Drivers: []converter.StorageDriver{new(outside)}},
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
