# MariaDB's client, which many systems install as mysql, has an option of its own for the same check.
case "$(mysql --version)" in
  *MariaDB*) verify=--ssl-verify-server-cert ;;
  *) verify=--ssl-mode=VERIFY_IDENTITY ;;
esac
# The file with the system's CAs.
for ca in "$SSL_CERT_FILE" /etc/ssl/cert.pem /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
  [ -f "$ca" ] && break
done
MYSQL_PWD="$TIDB_PASSWORD" mysql --host='<HOST>' --port=<PORT> --user='<USER>' --database='<DATABASE>' \
  "$verify" --ssl-ca="$ca" --execute='SELECT VERSION()'
