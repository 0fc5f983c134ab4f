package storetest

import (
	"context"
	"iter"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// twisted is a reference store in which single methods are replaced.
type twisted struct {
	*ref
	get   func(ctx context.Context, id string) (store.Entry, error)
	put   func(ctx context.Context, e store.Entry) (uint64, error)
	del   func(ctx context.Context, id string, version uint64) error
	claim func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error)
	list  func(ctx context.Context) iter.Seq2[store.Entry, error]
	page  func(ctx context.Context, after string, n int) ([]store.Entry, error)
	count func(ctx context.Context) (int, error)
	watch func(ctx context.Context) (<-chan struct{}, error)
	close func() error
}

func (s *twisted) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	if s.page == nil {
		return s.ref.Page(ctx, after, n)
	}
	page, err := s.page(ctx, after, n)
	return page, wrapped("page", after, err)
}

func (s *twisted) Count(ctx context.Context) (int, error) {
	if s.count == nil {
		return s.ref.Count(ctx)
	}
	n, err := s.count(ctx)
	return n, wrapped("count", "", err)
}

func (s *twisted) Watch(ctx context.Context) (<-chan struct{}, error) {
	if s.watch == nil {
		return s.ref.Watch(ctx)
	}
	signals, err := s.watch(ctx)
	return signals, wrapped("watch", "", err)
}

func (s *twisted) Get(ctx context.Context, id string) (store.Entry, error) {
	if s.get == nil {
		return s.ref.Get(ctx, id)
	}
	e, err := s.get(ctx, id)
	return e, wrapped("get", id, err)
}

func (s *twisted) Put(ctx context.Context, e store.Entry) (uint64, error) {
	if s.put == nil {
		return s.ref.Put(ctx, e)
	}
	v, err := s.put(ctx, e)
	return v, wrapped("put", e.ID, err)
}

func (s *twisted) Delete(ctx context.Context, id string, version uint64) error {
	if s.del == nil {
		return s.ref.Delete(ctx, id, version)
	}
	return wrapped("delete", id, s.del(ctx, id, version))
}

func (s *twisted) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	if s.claim == nil {
		return s.ref.Claim(ctx, now, until, n)
	}
	got, err := s.claim(ctx, now, until, n)
	return got, wrapped("claim", "", err)
}

func (s *twisted) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	if s.list == nil {
		return s.ref.List(ctx)
	}
	return func(yield func(store.Entry, error) bool) {
		for e, err := range s.list(ctx) {
			if !yield(e, wrapped("list", "", err)) {
				return
			}
		}
	}
}

func (s *twisted) Close() error {
	if s.close == nil {
		return s.ref.Close()
	}
	return s.close()
}
