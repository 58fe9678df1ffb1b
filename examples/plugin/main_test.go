package main

func Example() {
	main()
	// Output:
	// anna  new         desk-ticket
	// ben   new         desk-ticket
	// anna  bound       desk-ticket
	// ben   bound       desk-ticket
	// cleo  new         x-session-id
	// anna  no-session
}
