// Package pages reads the pages of a bbolt file. It finds damage that bbolt
// does not survive and recover does not catch. A tree with a cycle ends in a
// stack overflow or an endless append. A list of free pages with a wrong length
// ends in an allocation that kills the process. A page that is both free and in
// use is overwritten silently.
//
// The constants are those of bbolt's format 2, in the machine's byte order.
package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"github.com/latchkey-go/latchkey/store"
)

// Constants of bbolt's pages, for this package and for tests that damage files.
const (
	bboltMagic   = 0xED0CDAED
	bboltVersion = 2

	minPageSize = 1 << 10
	maxPageSize = 1 << 24
	maxHeight   = 32

	HeaderSize  = 16 // id (8), flags (2), count (2), overflow (4)
	ElementSize = 16
	metaSize    = HeaderSize + 64

	BranchPage   = 0x01
	LeafPage     = 0x02
	FreelistPage = 0x10

	BucketElement = 0x01
	noFreelist    = 1<<64 - 1
)

var native = binary.NativeEndian

// Layout describes a file: its page size, its free pages and its root.
type Layout struct {
	Pages uint64 // number of pages
	Root  uint64 // root of the tree of buckets

	file     *os.File
	pageSize uint64
	free     []uint64

	seen []uint64 // a bit for each page that is in use
}

// meta is one of a file's two meta pages.
type meta struct {
	pageSize, root, freelist, pages, txid uint64
}

// Inspect reads what bbolt trusts without a check: the meta pages and the list of
// free pages. Damage is store.ErrCorrupt.
func Inspect(f *os.File) (*Layout, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := uint64(info.Size())
	if size == 0 {
		return nil, corrupt(f.Name(), "it is empty, and was never left so by this package: remove it if nothing is missed")
	}
	m, ok := readMeta(f)
	switch {
	case !ok:
		return nil, corrupt(f.Name(), "no bbolt file, or both of its meta pages are damaged")
	case m.pages > size/m.pageSize:
		return nil, corrupt(f.Name(), "cut short: %d bytes, where %d pages of %d belong", size, m.pages, m.pageSize)
	case m.freelist == noFreelist:
		return nil, corrupt(f.Name(), "no list of free pages: another tool has left it out; bbolt compact makes a file that has one")
	}
	l := &Layout{file: f, pageSize: m.pageSize, Pages: m.pages, Root: m.root}
	return l, l.readFree(m.freelist)
}

// At returns the layout of a file of this many bytes, whose root is known from
// a transaction. The layout has no free pages.
func At(f *os.File, size, pageSize, root uint64) *Layout {
	return &Layout{file: f, pageSize: pageSize, Pages: size / pageSize, Root: root}
}

// readMeta returns the meta page that bbolt would use.
func readMeta(f *os.File) (best meta, ok bool) {
	first, ok := metaAt(f, 0)
	if !ok {
		// The page size is not known, so neither is the position of the second meta
		// page.
		for at := int64(minPageSize); at <= maxPageSize; at *= 2 {
			if m, ok := metaAt(f, at); ok && m.pageSize == uint64(at) {
				return m, true
			}
		}
		return meta{}, false
	}
	second, ok := metaAt(f, int64(first.pageSize))
	if ok && second.txid > first.txid && second.pageSize == first.pageSize {
		return second, true
	}
	return first, true
}

func metaAt(f *os.File, at int64) (m meta, ok bool) {
	var b [metaSize]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return meta{}, false
	}
	const checksum = metaSize - 8
	sum := fnv.New64a()
	_, _ = sum.Write(b[HeaderSize:checksum])
	m = meta{
		pageSize: uint64(native.Uint32(b[24:])),
		root:     native.Uint64(b[32:]),
		freelist: native.Uint64(b[48:]),
		pages:    native.Uint64(b[56:]),
		txid:     native.Uint64(b[64:]),
	}
	ok = native.Uint32(b[16:]) == bboltMagic && native.Uint32(b[20:]) == bboltVersion &&
		native.Uint64(b[checksum:]) == sum.Sum64() &&
		m.pageSize >= minPageSize && m.pageSize <= maxPageSize && m.pageSize&(m.pageSize-1) == 0
	return m, ok
}

// page reads a page and its overflow pages.
func (l *Layout) page(id uint64) ([]byte, error) {
	if id < 2 || id >= l.Pages {
		return nil, corrupt(l.file.Name(), "page %d is referred to, and there are %d", id, l.Pages)
	}
	b, err := l.read(id, 1)
	if err != nil {
		return nil, err
	}
	overflow := uint64(native.Uint32(b[12:]))
	switch {
	case native.Uint64(b) != id || overflow >= l.Pages-id:
		return nil, corrupt(l.file.Name(), "page %d has a damaged header", id)
	case overflow > 0:
		return l.read(id, 1+overflow)
	}
	return b, nil
}

func (l *Layout) read(id, n uint64) ([]byte, error) {
	b := make([]byte, n*l.pageSize)
	_, err := l.file.ReadAt(b, int64(id*l.pageSize))
	if errors.Is(err, io.EOF) {
		err = corrupt(l.file.Name(), "cut short before page %d", id)
	}
	return b, err
}

// Flags returns the kind of a page.
func Flags(page []byte) uint16 { return native.Uint16(page[8:]) }

// Count returns the number of a page's elements.
func Count(page []byte) int { return int(native.Uint16(page[10:])) }

func (l *Layout) readFree(id uint64) error {
	page, err := l.page(id)
	if err != nil {
		return err
	}
	ids, n := page[HeaderSize:], uint64(Count(page))
	if n == 0xFFFF { // too many for the header
		n = native.Uint64(ids)
		ids = ids[8:]
	}
	if Flags(page) != FreelistPage || n > uint64(len(ids)/8) {
		return corrupt(l.file.Name(), "the list of free pages is damaged")
	}
	l.free = make([]uint64, n)
	last := uint64(1)
	for i := range l.free {
		l.free[i] = native.Uint64(ids[8*i:])
		if l.free[i] <= last || l.free[i] >= l.Pages {
			return corrupt(l.file.Name(), "the list of free pages is damaged")
		}
		last = l.free[i]
	}
	return nil
}

// CheckTrees checks that no page is in use twice, and that no page in use is
// free. CheckTrees reads the branch pages, which are about one in a hundred.
// With leaves, CheckTrees also reads the leaf pages, and checks that all keys
// are in order.
func (l *Layout) CheckTrees(leaves bool) error {
	l.seen = make([]uint64, l.Pages/64+1)
	root, err := l.page(l.Root)
	if err != nil {
		return err
	}
	if Flags(root) != LeafPage {
		return corrupt(l.file.Name(), "a bbolt file that isn't Latchkey's, or its root is damaged")
	}
	if err := l.mark(l.Root, root); err != nil {
		return err
	}
	elements, err := l.elements(l.Root, root)
	if err != nil {
		return err
	}
	for _, e := range elements {
		if e.flags&BucketElement == 0 || len(e.value) < 16 {
			return corrupt(l.file.Name(), "a bbolt file that isn't Latchkey's, or its root is damaged")
		}
		tree := native.Uint64(e.value)
		if tree == 0 {
			continue // small enough to be stored in the root
		}
		height, err := l.height(tree)
		if err != nil {
			return err
		}
		if err := l.walk(tree, height, leaves, nil, nil); err != nil {
			return err
		}
	}
	for _, id := range l.free {
		if l.seen[id/64]&(1<<(id%64)) != 0 {
			return corrupt(l.file.Name(), "page %d is both free and in use", id)
		}
	}
	return nil
}

// height returns the number of branch levels of a tree. All leaves of the tree
// have the same depth.
func (l *Layout) height(id uint64) (int, error) {
	for height := range maxHeight {
		page, err := l.page(id)
		if err != nil {
			return 0, err
		}
		elements, err := l.elements(id, page)
		if err != nil {
			return 0, err
		}
		if Flags(page) == LeafPage {
			return height, nil
		}
		id = elements[0].child
	}
	return 0, corrupt(l.file.Name(), "a tree that runs in a circle")
}

// walk checks the tree below a page. The first key of the page is low. bbolt
// finds the page in its parent by this key. All keys are below high.
func (l *Layout) walk(id uint64, height int, leaves bool, low, high []byte) error {
	if height == 0 && !leaves {
		return l.mark(id, nil)
	}
	page, err := l.page(id)
	if err != nil {
		return err
	}
	if err := l.mark(id, page); err != nil {
		return err
	}
	elements, err := l.elements(id, page)
	if err != nil {
		return err
	}
	if (Flags(page) == LeafPage) != (height == 0) {
		return corrupt(l.file.Name(), "page %d is at the wrong height", id)
	}
	for i, e := range elements {
		above := high
		if i+1 < len(elements) {
			above = elements[i+1].key
		}
		if i == 0 && low != nil && !bytes.Equal(e.key, low) || above != nil && bytes.Compare(e.key, above) >= 0 {
			return corrupt(l.file.Name(), "page %d has keys out of order", id)
		}
		if e.flags != 0 { // a bucket inside a bucket
			return corrupt(l.file.Name(), "page %d has a damaged element", id)
		}
		if height > 0 {
			if err := l.walk(e.child, height-1, leaves, e.key, above); err != nil {
				return err
			}
		}
	}
	return nil
}

// mark records that a page and its overflow pages are in use.
func (l *Layout) mark(id uint64, page []byte) error {
	n := max(1, uint64(len(page))/l.pageSize)
	for ; n > 0; id, n = id+1, n-1 {
		if id < 2 || id >= l.Pages || l.seen[id/64]&(1<<(id%64)) != 0 {
			return corrupt(l.file.Name(), "page %d is in use twice, or isn't there", id)
		}
		l.seen[id/64] |= 1 << (id % 64)
	}
	return nil
}

// element is one element of a page. In a branch, an element has a child. In a
// leaf, an element has flags and a value.
type element struct {
	key, value []byte
	flags      uint32
	child      uint64
}

func (l *Layout) elements(id uint64, page []byte) ([]element, error) {
	leaf := Flags(page) == LeafPage
	n := Count(page)
	if !leaf && (Flags(page) != BranchPage || n == 0) || HeaderSize+n*ElementSize > len(page) {
		return nil, corrupt(l.file.Name(), "page %d has a damaged header", id)
	}
	elements := make([]element, n)
	for i := range elements {
		at := uint64(HeaderSize + i*ElementSize)
		b := page[at:]
		e := &elements[i]
		var pos, keySize, valueSize uint64
		if leaf {
			e.flags = native.Uint32(b)
			pos, keySize, valueSize = uint64(native.Uint32(b[4:])), uint64(native.Uint32(b[8:])), uint64(native.Uint32(b[12:]))
		} else {
			pos, keySize = uint64(native.Uint32(b)), uint64(native.Uint32(b[4:]))
			e.child = native.Uint64(b[8:])
		}
		if keySize == 0 || at+pos+keySize+valueSize > uint64(len(page)) {
			return nil, corrupt(l.file.Name(), "page %d has a damaged element", id)
		}
		key := at + pos
		e.key = page[key : key+keySize]
		e.value = page[key+keySize : key+keySize+valueSize]
	}
	return elements, nil
}

func corrupt(path, reason string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", store.ErrCorrupt, path, fmt.Sprintf(reason, args...))
}
