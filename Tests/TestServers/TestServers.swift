/// Real servers for tests: PostgreSQL and RabbitMQ on loopback, started on first use, gone when the test process is.
package enum TestServers {}
