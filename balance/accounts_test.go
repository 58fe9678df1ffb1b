package balance

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAccountsAreBounded(t *testing.T) {
	l, most := newLedger(0, nil), 0
	for i := range 4 * maxAccounts {
		l.add(l.account("pod-"+strconv.Itoa(i)), 1e9, 0, l.now())
		most = max(most, l.open)
	}
	require.LessOrEqual(t, most, maxAccounts)
	require.GreaterOrEqual(t, l.open, maxAccounts/4, "no more are closed than is necessary")
	for a := range l.all() {
		require.Same(t, a, l.known(a.id))
	}
	run, longest := 0, 0
	for i := range *l.accounts.Load() {
		if run++; (*l.accounts.Load())[i].Load() == nil {
			run = 0
		}
		longest = max(longest, run)
	}
	require.Less(t, longest, 1000, "those that are left lie apart")
}

// Where all accounts are in use, making room for one more makes room for others: for a
// quarter, if all were used at the same time.
func TestTooManyAccountsInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(0, nil)
		for i := range maxAccounts - 1 {
			l.account("pod-" + strconv.Itoa(i))
		}
		table, tidied := l.accounts.Load(), 0
		for i := range 100 {
			l.account("new-" + strconv.Itoa(i))
			if now := l.accounts.Load(); now != table {
				table = now
				tidied++
			}
		}
		require.Equal(t, 1, tidied)
		require.Equal(t, maxAccounts/4*3+99, l.open)
	})
}

// If most accounts went unused for long, only those make room, and otherwise those that were not
// used since the mean.
func TestAccountsThatMakeRoom(t *testing.T) {
	for _, tt := range []struct {
		pause time.Duration
		used  int // after the pause: all from this one on
	}{
		{2 * idleHalfLives * defaultHalfLife, maxAccounts/2 + 1},
		{defaultHalfLife, maxAccounts / 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLedger(0, nil)
			id := func(i int) string { return "pod-" + strconv.Itoa(i) }
			for i := range maxAccounts {
				l.account(id(i))
			}
			<-time.After(tt.pause)
			for i := tt.used; i < maxAccounts; i++ {
				if i == maxAccounts/4*3 {
					<-time.After(time.Second)
				}
				l.add(l.account(id(i)), 1, 0, l.now())
			}
			l.account("new")
			for i := range maxAccounts {
				require.Equal(t, i >= tt.used, l.known(id(i)) != nil, "%v: %d", tt.pause, i)
			}
		})
	}
}

// An account is found again, also the one that had the table of them made anew, and those
// that were opened just before it, however old the ledger is.
func TestAccountsAreFound(t *testing.T) {
	l := newLedger(0, nil)
	l.start = l.start.Add(-1000 * time.Hour)
	var all []*account
	for i := range 1000 {
		all = append(all, l.account("pod-"+strconv.Itoa(i)))
		for _, a := range all {
			if l.known(a.id) != a {
				t.Fatalf("%s of %d", a.id, len(all))
			}
		}
	}
}

// Targets whose IDs have the same hash, as IDs may be made to have, have accounts of their own.
func TestAccountsWithTheSameHash(t *testing.T) {
	l := newLedger(0, nil)
	const id, other = "account-of-alice", "ach-nv5-oneydor3"
	require.Equal(t, hashOf(id), hashOf(other))
	a, b := l.account(id), l.account(other)
	require.NotSame(t, a, b)
	require.Same(t, a, l.known(id))
	require.Same(t, b, l.known(other))
}

// An account that is closed while it is charged is opened again.
func TestChargeOfAClosedAccount(t *testing.T) {
	l := newLedger(0, nil)
	a := l.account("x")
	l.start = l.start.Add(-19 * defaultHalfLife)
	l.tidy()
	require.Same(t, a, l.known("x"))
	l.start = l.start.Add(-2 * defaultHalfLife)
	l.tidy()
	require.Nil(t, l.known("x"))
	l.add(a, 5, 0, 10)
	require.NotSame(t, a, l.known("x"))
	require.Equal(t, 5.0, l.known("x").work)
	require.Zero(t, a.work)
}

// What is closed does not keep what was closed before it.
func TestClosedAccountsAreLetGo(t *testing.T) {
	l := newLedger(time.Minute, nil)
	l.pools = true
	weigh := func(now int64, ids ...string) {
		var r roster
		for _, id := range ids {
			r.candidates = append(r.candidates, candidate{account: l.account(id), weight: 1})
		}
		l.weigh(&r, now)
	}
	weigh(1, "old", "pod-0")
	for i := range 1000 {
		now := int64(i+1) * int64(10*time.Minute)
		weigh(now, "pod-"+strconv.Itoa(i), "pod-"+strconv.Itoa(i+1))
		l.add(l.account("old"), 1, 0, now)
	}
	kept := map[*account]bool{}
	var visit func(a *account)
	visit = func(a *account) {
		if !kept[a] {
			kept[a] = true
			for _, other := range a.pool {
				visit(other)
			}
		}
	}
	l.start = l.start.Add(-1000 * 10 * time.Minute) // what it is by then
	l.tidy()
	visit(l.known("old"))
	require.Less(t, len(kept), 100)
}

// Of two goroutines, the one that looked at the clock first may come second. Nothing decays
// twice for that.
func TestChargesOutOfOrder(t *testing.T) {
	l := newLedger(0, nil)
	a, now := l.account("x"), l.now()+int64(10*defaultHalfLife)
	l.add(a, 1000, 800, now)
	l.add(a, 0, 0, now-int64(5*defaultHalfLife))
	l.add(a, 0, 0, now)
	require.Equal(t, []float64{1000, 800}, []float64{a.work, a.expected})
}
