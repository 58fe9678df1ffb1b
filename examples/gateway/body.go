package main

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/go-affinity/affinity/extract"
)

// read returns what extractors look at, and reads the body for that. What
// extract.FromHTTP does for all bodies is done here for plain ones in memory that
// is used again: at thousands of requests a second, most of what a gateway would
// allocate is bodies. The result must be freed after the exchange.
func (g *gateway) read(r *http.Request) (*extract.Request, *kept, error) {
	if r.ContentLength <= 0 || r.ContentLength > min(g.bodyLimit, maxKept) || len(r.Header["Content-Encoding"]) > 0 {
		req, err := extract.FromHTTP(r, g.bodyLimit)
		return req, nil, err
	}
	k := newKept(int(r.ContentLength))
	if _, err := io.ReadFull(r.Body, k.data); err != nil {
		k.free()
		return nil, nil, err
	}
	r.GetBody = k.open
	return &extract.Request{Header: r.Header, Method: r.Method, Path: r.URL.Path, Body: k.data}, k, nil
}

// kept is a body in memory that goes back to a pool when nobody reads it any
// more. An attempt may do so for a while after it has ended.
type kept struct {
	data    []byte
	readers atomic.Int32 // and the exchange itself
}

var keptPool sync.Pool // of *kept

const (
	minKept = 16 << 10
	maxKept = 1 << 20
)

func newKept(n int) *kept {
	k, _ := keptPool.Get().(*kept)
	if k == nil || cap(k.data) < n {
		k = &kept{data: make([]byte, 0, max(n, minKept))}
	}
	k.data = k.data[:n]
	k.readers.Store(1)
	return k
}

// free gives up one reader. A nil body has none.
func (k *kept) free() {
	if k != nil && k.readers.Add(-1) == 0 {
		keptPool.Put(k)
	}
}

// open returns the body for one attempt.
func (k *kept) open() (io.ReadCloser, error) {
	k.readers.Add(1)
	return &keptReader{of: k, rest: k.data}, nil
}

// keptReader reads a body until it is closed, perhaps by another goroutine.
type keptReader struct {
	mu   sync.Mutex
	of   *kept // nil if it was closed
	rest []byte
}

func (r *keptReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *keptReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of.free()
	r.of, r.rest = nil, nil
	return nil
}
