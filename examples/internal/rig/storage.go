package rig

import (
	"errors"
	"fmt"
	"sync"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// Storage is an external storage in memory. Any goroutine may call its methods.
type Storage struct {
	mu       sync.Mutex
	payloads []*commonpb.Payload
	fails    int
}

// Fail makes the next n calls of Store fail.
func (s *Storage) Fail(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = n
}

// Name returns the name of the driver.
func (*Storage) Name() string { return "in memory" }

// Type returns the same as Name.
func (*Storage) Type() string { return "in memory" }

// Store keeps the payloads, and returns their numbers.
func (s *Storage) Store(_ converter.StorageDriverStoreContext, payloads []*commonpb.Payload) ([]converter.StorageDriverClaim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails > 0 {
		s.fails--
		return nil, errors.New("the storage cannot be reached")
	}
	var claims []converter.StorageDriverClaim
	for _, p := range payloads {
		claims = append(claims, converter.StorageDriverClaim{ClaimData: map[string]string{"n": fmt.Sprint(len(s.payloads))}})
		s.payloads = append(s.payloads, proto.CloneOf(p))
	}
	return claims, nil
}

// Retrieve returns the payloads with these numbers.
func (s *Storage) Retrieve(_ converter.StorageDriverRetrieveContext, claims []converter.StorageDriverClaim) ([]*commonpb.Payload, error) {
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
