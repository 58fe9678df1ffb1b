package main

import (
	"errors"
	"io"
	"sync/atomic"
)

// upload is the body of one attempt that is too large to be kept: it comes from
// the client as it goes to the upstream. It knows whose fault it is if that
// ends early. A nil upload stands for a body that is not read from the client.
type upload struct {
	from                io.Reader
	read, broke, closed atomic.Bool
}

func (u *upload) Read(p []byte) (int, error) {
	u.read.Store(true)
	if u.closed.Load() {
		return 0, errors.New("read after close")
	}
	n, err := u.from.Read(p)
	if err != nil && err != io.EOF {
		u.broke.Store(true)
	}
	return n, err
}

// Close leaves the client's body open, for another attempt.
func (u *upload) Close() error {
	u.closed.Store(true)
	return nil
}

// broken reports whether the client failed to deliver.
func (u *upload) broken() bool { return u != nil && u.broke.Load() }

// untouched reports whether all of the body is there for another attempt. If
// so, this one will not touch it any more.
func (u *upload) untouched() bool {
	if u == nil {
		return true
	}
	u.closed.Store(true)
	return !u.read.Load()
}
