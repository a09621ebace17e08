package main

import (
	"crypto/tls"
	"database/sql"
	"fmt"
	"log"
	"os"

	"github.com/go-sql-driver/mysql"
)

func main() {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = "<HOST>:<PORT>"
	config.User = "<USER>"
	config.Passwd = os.Getenv("TIDB_PASSWORD")
	config.DBName = "<DATABASE>"
	config.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "<HOST>"}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		log.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	var version string
	if err := db.QueryRow("SELECT VERSION()").Scan(&version); err != nil {
		log.Fatal(err)
	}
	fmt.Println(version)
}
