import java.sql.DriverManager;

public class Connect {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:mysql://<HOST>:<PORT>/<DATABASE>?sslMode=VERIFY_IDENTITY&tlsVersions=TLSv1.2,TLSv1.3";
        try (var connection = DriverManager.getConnection(url, "<USER>", System.getenv("TIDB_PASSWORD"));
                var statement = connection.createStatement();
                var rows = statement.executeQuery("SELECT VERSION()")) {
            rows.next();
            System.out.println(rows.getString(1));
        }
    }
}
