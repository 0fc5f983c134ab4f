package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// The format of a sealed entry. The ID of a sealed entry is 22 characters of
// HMAC-SHA256 over the entry's own ID. If the own ID begins with a time, the
// time precedes the HMAC. The body of a sealed entry is
//
//	1 | len(name) (1) | name | nonce (12) | AES-256-GCM of len(ID) (1), ID, body
//
// The additional data is everything before the nonce, and the sealed ID. Each
// entry has its own key, so that random nonces do not come close to repeating
// under one key. The entry's key is HKDF-SHA256 of the named key with sealSalt,
// and with len(name), name and the sealed ID as info.
const (
	sealFormat = 1
	sealSalt   = "latchkey sealed entry 1"
	keySize    = 32
	nonceSize  = 12
	tagSize    = 16

	// hiddenLen is the length of the HMAC in a sealed ID. timedLen is the
	// length of an ID of package async that begins with a time of timeLen
	// characters.
	hiddenLen = 22
	timeLen   = 10
	timedLen  = timeLen + hiddenLen
)

// SealRoom is the maximum number of bytes that sealing adds to a body.
const SealRoom = 2 + 64 + nonceSize + 1 + 128 + tagSize

// seals seals and opens entries. seals calls no store.
type seals struct {
	idKey  []byte
	keys   map[string][]byte // keyed by name, after HKDF's extraction
	active string
}

func newSeals(o SealOptions) (*seals, error) {
	if len(o.IDKey) != keySize {
		return nil, fmt.Errorf("%w: SealOptions.IDKey must have %d bytes, got %d", ErrInvalid, keySize, len(o.IDKey))
	}
	s := &seals{idKey: append([]byte(nil), o.IDKey...), keys: make(map[string][]byte), active: o.Active}
	for name, key := range o.Keys {
		if err := CheckID(name); err != nil || len(name) > 64 {
			return nil, fmt.Errorf("%w: a name in SealOptions.Keys must be 1 to 64 bytes of A-Z a-z 0-9 - _ and dot, got %d bytes", ErrInvalid, len(name))
		}
		if len(key) != keySize {
			return nil, fmt.Errorf("%w: SealOptions.Keys[%q] must have %d bytes, got %d", ErrInvalid, name, keySize, len(key))
		}
		extracted, err := hkdf.Extract(sha256.New, key, []byte(sealSalt))
		if err != nil {
			return nil, err
		}
		s.keys[name] = extracted
	}
	if s.keys[o.Active] == nil {
		return nil, fmt.Errorf("%w: SealOptions.Active must name one of SealOptions.Keys (%s), got %q", ErrInvalid, keyNames(o.Keys), o.Active)
	}
	return s, nil
}

// id returns the sealed ID.
func (s *seals) id(id string) string {
	prefix := ""
	if len(id) == timedLen && strings.Trim(id[:timeLen], "0123456789ABCDEFGHIJKLMNOPQRSTUV") == "" {
		prefix = id[:timeLen]
	}
	return prefix + base64.RawURLEncoding.EncodeToString(s.mac(id)[:16])
}

func (s *seals) mac(text string) []byte {
	h := hmac.New(sha256.New, s.idKey)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// seal returns the sealed body of an entry.
func (s *seals) seal(sealedID, id string, body []byte) []byte {
	var nonce [nonceSize]byte
	rand.Read(nonce[:]) // never fails
	return s.sealWith(nonce, sealedID, id, body)
}

func (s *seals) sealWith(nonce [nonceSize]byte, sealedID, id string, body []byte) []byte {
	header := append([]byte{sealFormat, byte(len(s.active))}, s.active...)
	aead := s.aead(s.active, sealedID)
	plain := make([]byte, 0, 1+len(id)+len(body))
	plain = append(plain, byte(len(id)))
	plain = append(plain, id...)
	plain = append(plain, body...)
	sealed := make([]byte, 0, len(header)+nonceSize+len(plain)+tagSize)
	sealed = append(sealed, header...)
	sealed = append(sealed, nonce[:]...)
	return aead.Seal(sealed, nonce[:], plain, append(header, sealedID...))
}

// aead returns the cipher of one entry under a key of s.
func (s *seals) aead(name, sealedID string) cipher.AEAD {
	info := string([]byte{byte(len(name))}) + name + sealedID
	key, err := hkdf.Expand(sha256.New, s.keys[name], info, keySize)
	if err != nil {
		panic("store: HKDF refused a key of 32 bytes: " + err.Error())
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("store: AES refused a key of 32 bytes: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("store: GCM refused AES: " + err.Error())
	}
	return aead
}

// cutHeader returns the name of the key that seals a body, and the rest of the
// body.
func cutHeader(sealed []byte) (name string, rest []byte, ok bool) {
	if len(sealed) < 2 || sealed[0] != sealFormat {
		return "", nil, false
	}
	n := int(sealed[1])
	if n == 0 || n > 64 || len(sealed) < 2+n+nonceSize+tagSize {
		return "", nil, false
	}
	name = string(sealed[2 : 2+n])
	return name, sealed[2+n:], CheckID(name) == nil
}

// open returns the arguments of seal. The errors of open contain nothing of the
// body except the name of a key.
func (s *seals) open(sealedID string, sealed []byte) (id string, body []byte, err error) {
	name, rest, ok := cutHeader(sealed)
	if !ok {
		return "", nil, fmt.Errorf("%w: it is not sealed, or its header is damaged", ErrCorrupt)
	}
	if s.keys[name] == nil {
		return "", nil, fmt.Errorf("%w: add the key %q to SealOptions.Keys", ErrKey, name)
	}
	additional := append(sealed[:len(sealed)-len(rest):len(sealed)-len(rest)], sealedID...)
	plain, err := s.aead(name, sealedID).Open(nil, rest[:nonceSize], rest[nonceSize:], additional)
	if err != nil {
		return "", nil, fmt.Errorf("%w: it does not open with the key %q", ErrCorrupt, name)
	}
	if len(plain) == 0 || len(plain) < 1+int(plain[0]) {
		return "", nil, fmt.Errorf("%w: the sealed text is truncated", ErrCorrupt)
	}
	n := 1 + int(plain[0])
	return string(plain[1:n]), plain[n:len(plain):len(plain)], nil
}
