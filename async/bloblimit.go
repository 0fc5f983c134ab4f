package async

import (
	"fmt"

	"github.com/latchkey-go/latchkey/store"
)

const (
	defaultBlobLimit = 2 << 20
	minBlobLimit     = 1 << 10

	// maxBlobLimit leaves room in an entry for heartbeat details and the rest of
	// the record.
	maxBlobLimit = 3584 << 10

	// leastRest and mostRest bound the room that an entry has for everything
	// except an outcome and heartbeat details.
	leastRest = 96 << 10
	mostRest  = 512 << 10
)

// blobLimit checks Options.BlobLimit against what the store takes, and applies
// its default.
func blobLimit(asked int, s store.Store) (int, error) {
	most := maxBlobLimit
	if l, ok := s.(store.Limiter); ok {
		body := l.MaxBody()
		// An entry has room for an outcome as large as the limit, and for
		// details, which are never larger than Temporal's default limit.
		room := body - min(max(body/8, leastRest), mostRest)
		most = min(most, max(room/2, room-defaultBlobLimit))
		if most < minBlobLimit {
			return 0, fmt.Errorf("async: Options.Store must take bodies of at least %d bytes, it takes %d", leastRest+2*minBlobLimit, body)
		}
		if asked > most && asked <= maxBlobLimit {
			return 0, fmt.Errorf("async: Options.BlobLimit must be at most %d bytes with this store, which takes bodies of %d bytes, got %d bytes", most, body, asked)
		}
	}
	switch {
	case asked == 0:
		return min(defaultBlobLimit, most), nil
	case asked < minBlobLimit || asked > maxBlobLimit:
		return 0, fmt.Errorf("async: Options.BlobLimit must be between 1 KiB and 3.5 MiB, got %d bytes", asked)
	}
	return asked, nil
}
